#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/stat.h>

#include <fmt/format.h>

#include "error.hpp"
#include "index.hpp"
#include "sqlite.hpp"
#include "store_fixture.hpp"

using namespace poster;

namespace {

std::vector<std::string> ids_of(const std::vector<RunRow>& rows) {
    std::vector<std::string> ids;
    for (const auto& row : rows) ids.push_back(row.id);
    return ids;
}

std::vector<std::string> listed(const Store& store, const RunFilter& filter = {}) {
    Index index{store};
    index.refresh();
    return ids_of(index.list(filter));
}

fs::path feed_of(const Store& store) {
    return store.dir() / "feed" / (host_name() + ".jsonl");
}

// What `work` says on stderr.
std::string said(const std::function<void()>& work) {
    TemporaryDirectory place;
    const fs::path file = place.path() / "stderr";
    const int saved = ::dup(2);
    const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ::dup2(fd, 2);
    ::close(fd);
    work();
    ::dup2(saved, 2);
    ::close(saved);
    return read_file(file).value_or("");
}

std::string refusal(const Index& index, const std::string& word) {
    try {
        return "found " + index.find(word).id;
    } catch (const UsageError& error) {
        return std::string{error.what()} + " | " + error.help();
    }
}

const std::string kFirst = "20260101-000000-aaaa";
const std::string kSecond = "20260102-000000-abab";
const std::string kThird = "20270103-000000-cccc";

} // namespace

TEST_CASE("what was announced is listed, newest first, with all its fields") {
    StoreFixture fixture;
    fixture.add(kFirst, "baseline");
    fixture.add(kSecond);
    Index index{fixture.store};
    index.refresh();
    const auto rows = index.list({});
    REQUIRE(ids_of(rows) == std::vector{kSecond, kFirst});
    const RunRow& row = rows[1];
    CHECK(row.name == "baseline");
    CHECK(row.tags == std::vector<std::string>{"cifar", "night"});
    CHECK(row.argv == std::vector<std::string>{"python", "train.py", "--lr", "0.1"});
    CHECK(row.command == "python train.py --lr 0.1");
    CHECK(row.cwd == "/home/me/project");
    CHECK(row.host == host_name());
    CHECK(row.attempt == 1);
    CHECK(row.status == Status::finished);
    CHECK(row.exit_code == 0);
    CHECK(row.signal.empty());
    CHECK(row.duration_s == 3.2);
    CHECK(row.reason == "finished in 3.2s");
    CHECK(row.started_at);
    CHECK(row.ended_at);
    CHECK(row.dir == fixture.store.run_dir(kFirst).native());
}

TEST_CASE("a run that never was announced is read from its directory") {
    StoreFixture fixture;
    fixture.add(kFirst, "baseline", StoreFixture::Announce::no);
    json later = fixture.attempt_record();
    later["attempt"] = 10;
    later["status"] = "killed";
    later["signal"] = "SIGTERM";
    fixture.write(kFirst, fixture.run_record(kFirst, "baseline"), later);
    fs::create_directories(fixture.store.runs() / "no-run");
    Index index{fixture.store};
    index.refresh();
    const auto rows = index.list({});
    REQUIRE(ids_of(rows) == std::vector{kFirst});
    CHECK(rows[0].name == "baseline");
    CHECK(rows[0].tags.size() == 2);
    CHECK(rows[0].attempt == 10);
    CHECK(rows[0].status == Status::killed);
    CHECK(rows[0].signal == "SIGTERM");
}

TEST_CASE("a refresh sees runs that came and went") {
    StoreFixture fixture;
    fixture.add(kFirst);
    CHECK(listed(fixture.store).size() == 1);
    fixture.add(kSecond);
    CHECK(listed(fixture.store).size() == 2);
    fs::remove_all(fixture.store.run_dir(kFirst));
    CHECK(listed(fixture.store) == std::vector{kSecond});
    fixture.store.announce(fixture.run_record(kFirst), fixture.attempt_record());
    CHECK(listed(fixture.store) == std::vector{kSecond});
}

TEST_CASE("a later state replaces an earlier one, never the other way round") {
    auto [before_attempt, before, after_attempt, after, kept] =
        GENERATE(table<int, std::string, int, std::string, std::string>({{1, "running", 1, "finished", "finished"},
                                                                         {1, "finished", 1, "running", "finished"},
                                                                         {1, "failed", 2, "running", "running"},
                                                                         {2, "running", 1, "failed", "running"},
                                                                         {1, "lost", 1, "killed", "killed"}}));
    StoreFixture fixture;
    for (const auto& [attempt, status] : {std::pair{before_attempt, before}, {after_attempt, after}}) {
        json record = fixture.attempt_record();
        record["attempt"] = attempt;
        record["status"] = status;
        fixture.store.announce(fixture.run_record(kFirst), record);
    }
    json truth = fixture.attempt_record();
    truth["attempt"] = std::max(before_attempt, after_attempt);
    fixture.write(kFirst, fixture.run_record(kFirst), truth);
    fixture.store.mark_active(kFirst);
    Index index{fixture.store};
    index.refresh();
    CHECK(to_string(index.find(kFirst).status) == kept);
}

TEST_CASE("half a line and rubbish in a feed are passed over") {
    StoreFixture fixture;
    fixture.add(kFirst);
    append_line(feed_of(fixture.store), "rubbish");
    append_line(feed_of(fixture.store), R"({"id": "../..", "status": "running"})");
    Fd fd = open_append(feed_of(fixture.store));
    write_all(fd.get(), R"({"id": "20260102-000000-ab)");
    CHECK(listed(fixture.store) == std::vector{kFirst});
    fixture.add(kSecond); // mends the half line first
    CHECK(listed(fixture.store) == std::vector{kSecond, kFirst});
}

TEST_CASE("a feed that was replaced by a shorter one is read anew") {
    StoreFixture fixture;
    fixture.add(kFirst);
    fixture.add(kSecond);
    CHECK(listed(fixture.store).size() == 2);
    replace_file(feed_of(fixture.store), "");
    fixture.add(kThird);
    CHECK(listed(fixture.store) == std::vector{kThird, kSecond, kFirst});
}

TEST_CASE("an end that never was announced is found in the run directory") {
    StoreFixture fixture;
    fixture.store.announce(fixture.run_record(kFirst), fixture.attempt_record());
    fixture.write(kFirst, fixture.run_record(kFirst), fixture.attempt_record());
    fixture.store.mark_active(kFirst);
    CHECK(listed(fixture.store, {.statuses = {"running"}}).size() == 1);
    fixture.add(kFirst, "", StoreFixture::Announce::no);
    fixture.store.unmark_active(kFirst);
    CHECK(listed(fixture.store, {.statuses = {"finished"}}).size() == 1);
}

TEST_CASE("filters choose runs") {
    StoreFixture fixture;
    fixture.add(kFirst, "baseline");
    fixture.add(kSecond, "big [1]");
    fixture.write(kThird, fixture.run_record(kThird, "base2"), fixture.attempt_record());
    fixture.store.announce(fixture.run_record(kThird, "base2"), fixture.attempt_record());
    fixture.store.mark_active(kThird);
    auto [filter, expected] = GENERATE(table<RunFilter, std::vector<std::string>>({
        {{.statuses = {"running"}}, {kThird}},
        {{.statuses = {"finished", "running"}}, {kThird, kSecond, kFirst}},
        {{.tags = {"night"}, .limit = 2}, {kThird, kSecond}},
        {{.tags = {"night", "cifar"}, .name = "big*"}, {kSecond}},
        {{.tags = {"nigh"}}, {}},
        {{.name = "base?*"}, {kThird, kFirst}},
        {{.name = "base[!l]"}, {kThird}},
        {{.since = wall_now() - std::chrono::hours{1}}, {kThird, kSecond, kFirst}},
        {{.since = wall_now() + std::chrono::hours{1}}, {}},
    }));
    Index index{fixture.store};
    index.refresh();
    CHECK(ids_of(index.list(filter)) == expected);
    RunFilter unlimited = filter;
    unlimited.limit = 0;
    CHECK(index.count(unlimited) == index.list(unlimited).size());
}

TEST_CASE("a run is found by id, prefix, suffix, name, or its distance from the last") {
    StoreFixture fixture;
    fixture.add(kFirst, "baseline");
    fixture.add(kSecond, "twice");
    fixture.add(kThird, "twice");
    Index index{fixture.store};
    index.refresh();
    auto [word, found] = GENERATE(table<std::string, std::string>(
        {{kFirst, "found " + kFirst},
         {"2027", "found " + kThird},
         {"aaaa", "found " + kFirst},
         {"-abab", "found " + kSecond},
         {"baseline", "found " + kFirst},
         {"last", "found " + kThird},
         {"last~2", "found " + kFirst},
         {"last~3", "there are only 3 runs | `poster ls` lists them"},
         {"twice", "'twice' is more than one run | it could be " + kThird + " (twice), " + kSecond + " (twice)"},
         {"20260", "'20260' is more than one run | it could be " + kSecond + " (twice), " + kFirst + " (baseline)"},
         {"basline", "no run is called 'basline' | did you mean 'baseline'?"},
         {"cccd", "no run is called 'cccd' | did you mean 'cccc'?"},
         {"20270103-000000-cccd", "no run is called '20270103-000000-cccd' | did you mean '" + kThird + "'?"},
         {"", "a run is named by its id or name | `poster ls` lists them"},
         {"%", "no run is called '%' | `poster ls` lists them"}}));
    CHECK(refusal(index, word) == found);
}

TEST_CASE("in a store without runs the last one is not found") {
    StoreFixture fixture;
    Index index{fixture.store};
    index.refresh();
    CHECK_THAT(refusal(index, "last"), Catch::Contains("no runs yet"));
}

TEST_CASE("the first look at a store is silent, a deleted index is rebuilt with one line of notice") {
    StoreFixture fixture;
    fixture.add(kFirst);
    CHECK(said([&] { CHECK(listed(fixture.store).size() == 1); }).empty());
    fs::remove(fixture.store.dir() / "index.sqlite");
    CHECK(said([&] { CHECK(listed(fixture.store).size() == 1); }) == "poster: rebuilding the index of 1 runs\n");
    CHECK(said([&] { CHECK(listed(fixture.store).size() == 1); }).empty());
}

TEST_CASE("a damaged index is rebuilt with one line of notice") {
    const auto damage = GENERATE(values<std::string>({"rubbish", "header", "pages", "table", "cut", "newer"}));
    StoreFixture fixture;
    for (int i = 0; i < 300; ++i) fixture.add(fmt::format("20260101-000000-x{:03}", i), "name");
    CHECK(listed(fixture.store).size() == 300);
    const fs::path file = fixture.store.dir() / "index.sqlite";
    std::string content = read_file(file).value();
    REQUIRE(content.size() > 20'000);
    if (damage == "rubbish")
        content = "this is no database, but it is rather long for a header of one, is it not?" + content;
    if (damage == "header") content.replace(0, 16, "SQLite format 9\0", 16);
    if (damage == "pages") content.replace(4096, content.size() - 4096, content.size() - 4096, '\x5a');
    if (damage == "cut") content.resize(content.size() / 2);
    if (damage == "newer") content.replace(60, 4, "\0\0\1\0", 4);
    if (damage == "table") { // a database of somebody else, whose version is ours by chance
        const auto at = content.find("CREATE TABLE feeds(");
        REQUIRE(at != std::string::npos);
        content.replace(at, 19, "CREATE TABLE foods(");
        content.replace(content.rfind("feedsfeeds", at), 10, "foodsfoods");
    }
    replace_file(file, content);
    const std::string notice = said([&] { CHECK(listed(fixture.store).size() == 300); });
    CHECK(notice == "poster: rebuilding the index: it was damaged\n");
    CHECK(said([&] { CHECK(listed(fixture.store).size() == 300); }).empty());
}

TEST_CASE("ten processes that find the index damaged all list every run") {
    StoreFixture fixture;
    for (int i = 0; i < 200; ++i) fixture.add(fmt::format("20260101-000000-x{:03}", i));
    CHECK(listed(fixture.store).size() == 200);
    replace_file(fixture.store.dir() / "index.sqlite", std::string(8192, 'x'));
    const std::string notices = said([&] {
        std::vector<pid_t> children;
        for (int i = 0; i < 10; ++i)
            children.push_back(in_child([&] { return listed(fixture.store).size() == 200 ? 0 : 1; }));
        for (const pid_t child : children) CHECK(exit_status(child) == 0);
    });
    CHECK(notices == "poster: rebuilding the index: it was damaged\n");
}

TEST_CASE("ten processes that refresh beside others that add runs see all of them in the end") {
    StoreFixture fixture;
    std::vector<pid_t> children;
    for (int i = 0; i < 10; ++i) {
        children.push_back(in_child([&] {
            for (int n = 0; n < 10; ++n) {
                fixture.add(fmt::format("20260101-0000{:02}-x{:03}", i, n));
                listed(fixture.store);
            }
            return 0;
        }));
    }
    for (const pid_t child : children) CHECK(exit_status(child) == 0);
    CHECK(listed(fixture.store).size() == 100);
}

TEST_CASE("a refresh with nothing new writes nothing") {
    StoreFixture fixture;
    fixture.add(kFirst);
    const timespec past[2] = {{1'000'000, 0}, {1'000'000, 0}}; // runs/ changed long ago
    ::utimensat(AT_FDCWD, fixture.store.runs().c_str(), past, 0);
    listed(fixture.store);
    const auto before = read_file(fixture.store.dir() / "index.sqlite");
    Index index{fixture.store};
    index.refresh();
    CHECK_FALSE(fs::exists(fixture.store.dir() / "index.sqlite-wal.x"));
    std::error_code failure;
    const auto wal = fs::file_size(fixture.store.dir() / "index.sqlite-wal", failure);
    CHECK((failure || wal == 0));
    CHECK(read_file(fixture.store.dir() / "index.sqlite") == before);
}

TEST_CASE("a rebuild reads 2000 directories, tells how far it is, and believes them rather than the feed") {
    StoreFixture fixture;
    for (int i = 0; i < 2000; ++i) fixture.add(fmt::format("20260101-{:06}-xxxx", i), "", StoreFixture::Announce::no);
    fixture.store.announce(fixture.run_record("20250101-000000-gone"), fixture.attempt_record());
    Index index{fixture.store};
    std::vector<std::pair<std::size_t, std::size_t>> steps;
    index.rebuild([&](std::size_t done, std::size_t total) { steps.emplace_back(done, total); });
    CHECK(steps.size() == 4);
    CHECK(steps.back() == std::pair<std::size_t, std::size_t>{2000, 2000});
    CHECK(index.count({}) == 2000);
    index.refresh();
    CHECK(index.count({}) == 2000);
}

TEST_CASE("the index of a store that is shared between hosts is kept in the cache directory") {
    StoreFixture fixture;
    Variable shared{"POSTER_ASSUME_SHARED", "1"};
    fixture.add(kFirst);
    CHECK(listed(fixture.store) == std::vector{kFirst});
    CHECK_FALSE(fs::exists(fixture.store.dir() / "index.sqlite"));
    int found = 0;
    for (const auto& entry : fs::directory_iterator(fixture.place.path() / "cache" / "poster")) {
        const std::string name = entry.path().filename().native();
        found += name.rfind("index-", 0) == 0 && name.size() == 6 + 16 + 7 ? 1 : 0;
    }
    CHECK(found == 1);
}

TEST_CASE("with no place to write, the index lives in memory") {
    StoreFixture fixture;
    Variable shared{"POSTER_ASSUME_SHARED", "1"};
    Variable cache{"XDG_CACHE_HOME", "/proc/nowhere"};
    fixture.add(kFirst);
    CHECK(listed(fixture.store) == std::vector{kFirst});
}

namespace {

// A finished run with a config and metrics, of which the feed tells as it did before there were values in it.
void add_with_values(const StoreFixture& fixture, const std::string& id, double lr, double loss) {
    fixture.add(id);
    json run = StoreFixture::run_record(id);
    run["config"] = {{"source", "argv"},
                     {"values", {{"lr", lr}, {"model", {{"depth", 3}, {"name", "resnet"}}}, {"amp", true}}}};
    run["summary"] = {{"best", loss}};
    write_json(fixture.store.run_dir(id) / "run.json", run);
    write_json(fixture.attempt_dir(id) / "metrics.json",
               {{"loss", {{"last", loss}, {"min", loss / 2}, {"max", "NaN"}, {"count", 4}}}});
}

std::vector<std::string> where(const Store& store, const std::string& expression, const std::string& sort = {},
                               bool descending = false) {
    RunFilter filter;
    if (!expression.empty()) filter.where = Where::parse(expression);
    filter.sort = sort;
    filter.descending = descending;
    return listed(store, filter);
}

} // namespace

TEST_CASE("runs are asked by their config, metrics and summary, from their directories where no feed tells them") {
    StoreFixture fixture;
    add_with_values(fixture, kFirst, 0.1, 0.5);
    add_with_values(fixture, kSecond, 0.01, 0.25);
    fixture.add(kThird);
    CHECK(where(fixture.store, "config.lr > 0.05") == std::vector{kFirst});
    CHECK(where(fixture.store, "metrics.loss < 0.3") == std::vector{kSecond});
    CHECK(where(fixture.store, "metrics.loss.min = 0.25 and config.model.name = resnet") == std::vector{kFirst});
    CHECK(where(fixture.store, "metrics.loss.max = NaN").size() == 2);
    CHECK(where(fixture.store, "config.amp and summary.best < 1 and metrics.loss.count = 4").size() == 2);
    CHECK(where(fixture.store, "config.lr = null") == std::vector{kThird});
    CHECK(where(fixture.store, "", "metrics.loss") == std::vector{kSecond, kFirst, kThird});
    CHECK(where(fixture.store, "", "metrics.loss", true) == std::vector{kFirst, kSecond, kThird});
    CHECK(where(fixture.store, "", "id") == std::vector{kFirst, kSecond, kThird});
}

TEST_CASE("values that a feed tells are not read from the directory again") {
    StoreFixture fixture;
    add_with_values(fixture, kFirst, 0.1, 0.5);
    fixture.store.announce_values(kFirst, 1);
    fs::remove(fixture.attempt_dir(kFirst) / "metrics.json");
    CHECK(where(fixture.store, "metrics.loss = 0.5") == std::vector{kFirst});
    add_with_values(fixture, kFirst, 0.1, 0.75); // the end of another attempt
    fixture.store.announce_values(kFirst, 2);
    CHECK(where(fixture.store, "metrics.loss = 0.75 and config.lr = 0.1") == std::vector{kFirst});
}

TEST_CASE("values of a run that goes on are those of its files at that moment") {
    StoreFixture fixture;
    const json run = StoreFixture::run_record(kFirst);
    fixture.write(kFirst, run, StoreFixture::attempt_record());
    fixture.store.mark_active(kFirst);
    fixture.store.announce(run, StoreFixture::attempt_record());
    for (const double loss : {0.5, 0.25}) {
        write_json(fixture.attempt_dir(kFirst) / "metrics.json", {{"loss", {{"last", loss}}}});
        CHECK(where(fixture.store, fmt::format("metrics.loss = {}", loss)) == std::vector{kFirst});
    }
}

TEST_CASE("columns are handed on with each run, and go with it") {
    StoreFixture fixture;
    add_with_values(fixture, kFirst, 0.1, 0.5);
    fixture.add(kSecond);
    RunFilter filter;
    filter.columns = {"config.lr", "tags", "metrics.loss.min", "config.amp"};
    Index index{fixture.store};
    index.refresh();
    const auto rows = index.list(filter);
    REQUIRE(rows.size() == 2);
    CHECK(rows[0].values == std::vector<Value>{Value{}, "cifar, night", Value{}, Value{}});
    CHECK(rows[1].values == std::vector<Value>{0.1, "cifar, night", 0.25, true});
    CHECK(index.unknown_values({"config.lr", "metrics.loss", "config.lrr"}) ==
          std::vector<std::pair<std::string, std::string>>{{"config.lrr", "config.lr"}});
    fs::remove_all(fixture.store.run_dir(kFirst));
    index.refresh();
    filter.where = Where::parse("config.lr != null");
    CHECK(index.list(filter).empty());
    CHECK(index.count(filter) == 0);
}

TEST_CASE("an index made before there were values gets them") {
    StoreFixture fixture;
    add_with_values(fixture, kFirst, 0.1, 0.5);
    listed(fixture.store);
    Database{fixture.store.dir() / "index.sqlite"}.run(
        "DROP TRIGGER run_removed; DROP TABLE vals; DROP TABLE keys; DROP INDEX runs_without_values;"
        "ALTER TABLE runs DROP COLUMN valued; PRAGMA user_version = 1");
    CHECK(where(fixture.store, "config.lr = 0.1") == std::vector{kFirst});
}
