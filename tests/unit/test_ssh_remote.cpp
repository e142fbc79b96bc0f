// Copies by ssh: what can be told without a host. A script stands in for ssh and starts OpenSSH's own SFTP server.

#include <catch2/catch.hpp>

#include <sys/stat.h>
#include <utime.h>

#include <fmt/format.h>

#include <error.hpp>
#include <files.hpp>
#include <remote_path.hpp>
#include <sftp_wire.hpp>
#include <ssh_client.hpp>
#include <ssh_destination.hpp>
#include <ssh_remote.hpp>

#include "remote_fixture.hpp"

using namespace poster;

namespace {

constexpr const char* kSftpServer = "/usr/lib/openssh/sftp-server";

void make_program(const fs::path& path, const std::string& script) {
    replace_file(path, "#!/bin/sh\n" + script + "\n");
    ::chmod(path.c_str(), 0755);
}

// `sftp` and `shell`: what runs in the place of either.
struct FakeHost : RemoteFixture {
    fs::path root = place.path() / "host";
    Variable path{"PATH", (place.path() / "bin").native() + ":" + std::getenv("PATH")};
    SshRemote remote{parse_ssh_destination("me@host:" + root.native()), {}, SshRemote::Method::sftp};
    std::unique_ptr<NotedProgress> last_put;

    FakeHost(const std::string& shell = "exec sh", const std::string& sftp = std::string("exec ") + kSftpServer) {
        make_directories(root);
        make_directories(place.path() / "bin");
        make_program(place.path() / "bin" / "ssh", "echo x >>" + (place.path() / "logins").native() +
                                                       "\nfor last; do :; done\ncase \"$last\" in sftp) " + sftp +
                                                       ";; sh) " + shell + ";; esac");
    }

    const NotedProgress& put(int jobs = 3) {
        last_put = std::make_unique<NotedProgress>(jobs);
        remote.put(files, *last_put);
        return *last_put;
    }
    bool all_there() const {
        for (const auto& file : files)
            if (sha256_of_file(root / file.path) != file.sha256.get()) return false;
        return files_below(root) == files.size();
    }
};

// With a shell, and without.
std::string some_shell() {
    return GENERATE(as<std::string>{}, "exec sh", "echo This service allows sftp connections only.; exit 1");
}

bool no_server() {
    if (fs::exists(kSftpServer)) return false;
    WARN("skipped: no " << kSftpServer);
    return true;
}

} // namespace

TEST_CASE("a destination of ssh is understood in each of its forms") {
    auto [text, host, port, path, url] =
        GENERATE(table<std::string, std::string, std::string, std::string, std::string>({
            {"cluster", "cluster", "", ".", "scp://cluster/~"},
            {"cluster:", "cluster", "", ".", "scp://cluster/~"},
            {"me@host:/data/runs/", "me@host", "", "/data/runs", "scp://me@host/data/runs"},
            {"me@host:data", "me@host", "", "data", "scp://me@host/~/data"},
            {"me@host:~/data", "me@host", "", "data", "scp://me@host/~/data"},
            {"me@[fe80::1]:/d", "me@fe80::1", "", "/d", "scp://me@[fe80::1]/d"},
            {"ssh://me@host:2222/d e", "me@host", "2222", "/d e", "scp://me@host:2222/d e"},
            {"ssh://host/~/d", "host", "", "d", "scp://host/~/d"},
            {"ssh://[::1]:22/d", "::1", "22", "/d", "scp://[::1]:22/d"},
            {"host:/with:colon@and", "host", "", "/with:colon@and", "scp://host/with:colon@and"},
        }));
    const auto to = parse_ssh_destination(text);
    CHECK(to.host == host);
    CHECK(to.port == port);
    CHECK(to.path == path);
    CHECK(to.url() == url);
}

TEST_CASE("what would be an option or a shell's word to ssh is no destination") {
    auto text = GENERATE(as<std::string>{}, "", ":/path", "-oProxyCommand=touch x:/d", "me@-oProxyCommand=x:/d",
                         "ssh://-x/d", "a b:/d", "$(id):/d", "`id`@host:/d", "host;id:/d", "ho\nst:/d", "host:/d\nx",
                         "ssh://host:22x/d", "ssh:///d", "me@:/d");
    CHECK_THROWS_AS(parse_ssh_destination(text), UsageError);
}

TEST_CASE("what ssh says is told apart: passing, or for the user to mend") {
    auto [said, state, part] = GENERATE(table<std::string, Delivery::State, std::string>({
        {"me@host: Permission denied (publickey).\r\n", Delivery::State::failed, "without questions"},
        {"@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n@@@@\nHost key verification failed.",
         Delivery::State::failed, "ssh-keygen -R"},
        {"No ED25519 host key is known for h and you have requested strict checking.\nHost key verification failed.",
         Delivery::State::failed, "by hand"},
        {"subsystem request failed on channel 0", Delivery::State::failed, "Subsystem"},
        {"/x/config: line 1: Bad configuration option: foo", Delivery::State::failed, "ssh"},
        {"ssh: connect to host h port 22: Connection refused", Delivery::State::retry, ""},
        {"ssh: Could not resolve hostname h: Name or service not known", Delivery::State::retry, ""},
        {"Timeout, server h not responding.", Delivery::State::retry, ""},
        {"client_loop: send disconnect: Broken pipe", Delivery::State::retry, ""},
        {"", Delivery::State::retry, ""},
    }));
    const auto delivery = explain_ssh(255, said, "host");
    CHECK(delivery.state == state);
    CHECK(delivery.help.find(part) != std::string::npos);
    CHECK_FALSE(delivery.error.empty());
}

TEST_CASE("a packet of SFTP that is cut short is an error, never more than it holds") {
    using namespace sftp;
    const std::string whole = Writer().number(1).text("a").text("long").number(4).number(0100600).take();
    const Reply reply = parse_reply(Type::name, whole);
    REQUIRE(reply.names.size() == 1);
    CHECK(reply.names[0].name == "a");
    CHECK(reply.names[0].attributes.is_file());
    for (std::size_t size = 0; size < whole.size(); ++size)
        CHECK_THROWS_AS(parse_reply(Type::name, whole.substr(0, size)), Error);
    CHECK_THROWS_AS(parse_reply(Type::data, std::string("\xff\xff\xff\xff", 4)), Error);
    CHECK_THROWS_AS(parse_reply(Type(77), ""), Error);
}

TEST_CASE("files arrive whole at a host, and come back, with a shell there and without") {
    if (no_server()) return;
    FakeHost host(some_shell());
    host.add("runs/a/run.json", "{}");
    host.add("runs/a/files/empty", "");
    host.add("runs/a/files/ö [x] * '\" \\ $(id)\n.txt", std::string(3'000'000, 'x'));
    host.add("runs/b/-rf", "minus");
    const auto& progress = host.put();
    CHECK(progress.count(Delivery::State::delivered) == 4);
    CHECK(progress.moved_bytes == 3'000'007);
    CHECK(host.all_there());
    CHECK(host.remote.list("runs") == std::vector<std::string>{"a", "b"});
    CHECK(host.remote.list("nothing").empty());

    NotedProgress fetched;
    const auto wanted = host.to_fetch();
    host.remote.get(wanted, fetched);
    CHECK(fetched.count(Delivery::State::delivered) == 4);
    for (const auto& file : wanted) CHECK(sha256_of_file(file.local) == file.sha256.get());
    NotedProgress verified;
    host.remote.verify(host.files, verified);
    CHECK(verified.count(Delivery::State::delivered) == 4);
}

TEST_CASE("a large file arrives whole, hashed once and while it is on its way, with what the host has for that") {
    if (no_server()) return;
    auto [python, openssl_calls] = GENERATE(table<std::string, std::size_t>({
        {"exec /usr/bin/env -i /usr/bin/python3 \"$@\"", 0},
        {"", 1},       // there is none
        {"exit 1", 1}, // after all
    }));
    TemporaryDirectory tools;
    const fs::path calls = tools.path() / "calls";
    for (const auto& name : {"dd", "head", "stat"})
        fs::create_symlink(fs::path("/usr/bin") / name, tools.path() / name);
    make_program(tools.path() / "openssl", "echo x >>" + calls.native() + "; exec /usr/bin/openssl \"$@\"");
    if (!python.empty()) make_program(tools.path() / "python3", python);
    FakeHost host("PATH=" + tools.path().native() + " exec /bin/sh");
    std::string content(GENERATE(40'000'001, 33'554'432), 'x');
    for (std::size_t i = 0; i < content.size(); i += 4096) content[i] = char(i >> 12);
    host.add("runs/a/files/large", content);
    CHECK(host.put().count(Delivery::State::delivered) == 1);
    CHECK(host.all_there());
    CHECK(read_file(calls).value_or("").size() == 2 * openssl_calls);
}

TEST_CASE("a large file that changed since it was hashed is not put in its place") {
    if (no_server()) return;
    FakeHost host;
    host.add("runs/a/files/large", std::string(40'000'001, 'x'));
    replace_file(host.files[0].local, std::string(40'000'001, 'y'));
    CHECK(host.put().count(Delivery::State::retry) == 1);
    CHECK(files_below(host.root) == 0);
}

TEST_CASE("a file is on its way to a host before its hash is known") {
    if (no_server()) return;
    const std::size_t bytes = GENERATE(3'000'000, 30'000'000);
    FakeHost host(some_shell());
    HashedLast progress(host.add("runs/a/files/large", std::string(bytes, 'x')));
    host.remote.put(host.files, progress);
    CHECK(progress.count(Delivery::State::delivered) == 1);
    CHECK(host.all_there());
}

TEST_CASE("of a put that is cancelled before a hash is known nothing is told, and its part is kept") {
    if (no_server()) return;
    FakeHost host;
    HashedLast progress(host.add("runs/a/files/large", std::string(3'000'000, 'x')), true);
    host.remote.put(host.files, progress);
    CHECK(progress.deliveries.empty());
    REQUIRE(files_below(host.root) == 1);
    CHECK_FALSE(fs::exists(host.root / "runs/a/files/large"));
}

TEST_CASE("a thousand files take one login and a shell") {
    if (no_server()) return;
    FakeHost host;
    for (int i = 0; i < 1000; ++i) host.add("runs/a/files/" + std::to_string(i), "content " + std::to_string(i));
    CHECK(host.put().count(Delivery::State::delivered) == 1000);
    CHECK(host.all_there());
    CHECK(read_file(host.place.path() / "logins")->size() <= 2 * 4); // two times `ssh -G`
}

TEST_CASE("only the bytes that were asked for are sent of a file that grows; one that changed is not taken") {
    if (no_server()) return;
    FakeHost host(some_shell());
    append_line(host.add("grows", "first line\n").local, "second line");
    replace_file(host.add("changed", "content").local, "CONTENT");
    replace_file(host.add("shrank", "content").local, "con");
    fs::remove(host.add("gone", "content").local);
    const auto& progress = host.put();
    CHECK(progress.count(Delivery::State::delivered) == 1);
    CHECK(progress.count(Delivery::State::retry) == 3);
    CHECK(read_file(host.root / "grows") == "first line\n");
    CHECK_FALSE(fs::exists(host.root / "changed"));
    CHECK_FALSE(fs::exists(host.root / "shrank"));
}

TEST_CASE("what stands at its place with the same bytes is not sent again, what differs is replaced") {
    if (no_server()) return;
    FakeHost host;
    host.add("same", "content");
    host.add("other", "content");
    replace_file(host.root / "same", "content");
    replace_file(host.root / "other", "CONTENT");
    struct stat before{};
    struct stat after{};
    ::stat((host.root / "same").c_str(), &before);
    CHECK(host.put().count(Delivery::State::delivered) == 2);
    ::stat((host.root / "same").c_str(), &after);
    CHECK(before.st_ino == after.st_ino);
    CHECK(host.all_there());
}

TEST_CASE("a part is gone on with where it is the file's beginning, else begun anew") {
    if (no_server()) return;
    auto [there, sent] = GENERATE(table<std::string, std::size_t>({
        {std::string(2'000'000, 'x'), 1'000'000},
        {std::string(2'000'000, 'y'), 3'000'000},
        {std::string(4'000'000, 'x'), 3'000'000},
    }));
    FakeHost host;
    auto& file = host.add("runs/big", std::string(3'000'000, 'x'));
    make_directories(host.root / "runs");
    struct stat facts{};
    REQUIRE(::stat(file.local.c_str(), &facts) == 0);
    const std::string word = fmt::format("{}\n{}\n{}", file.path, file.bytes, modified_ns(facts));
    replace_file(host.root / "runs" / part_name(word), there);
    const fs::path counted = host.place.path() / "written";
    CHECK(host.put().count(Delivery::State::delivered) == 1);
    CHECK(host.all_there());
    CHECK(host.last_put->moved_bytes == 3'000'000);
}

TEST_CASE("where ssh fails, one file tells of it and the others stay queued") {
    auto [sftp, state] = GENERATE(table<std::string, Delivery::State>({
        {"echo 'me@host: Permission denied (publickey).' >&2; exit 255", Delivery::State::failed},
        {"echo 'ssh: connect to host host port 22: Connection refused' >&2; exit 255", Delivery::State::retry},
        {"kill -9 $$", Delivery::State::retry},
        {"echo 'Welcome to this host, where logins print something'", Delivery::State::failed},
        {"true", Delivery::State::retry},
    }));
    FakeHost host("exec sh", sftp);
    for (int i = 0; i < 10; ++i) host.add(std::to_string(i), "content");
    const auto& progress = host.put();
    REQUIRE(progress.deliveries.size() == 1);
    CHECK(progress.deliveries.at(0).state == state);
    CHECK_FALSE(progress.deliveries.at(0).error.empty());
    CHECK_THROWS_AS(host.remote.list("runs"), Error);
}

TEST_CASE("a folder that may not be written to is told as such") {
    if (no_server() || ::geteuid() == 0) return; // root may
    FakeHost host;
    ::chmod(host.root.c_str(), 0500);
    host.add("runs/a", "content");
    CHECK(host.put().only().state == Delivery::State::failed);
    ::chmod(host.root.c_str(), 0700);
}

TEST_CASE("a damaged file at the host is neither verified nor fetched") {
    if (no_server()) return;
    FakeHost host(some_shell());
    host.add("bit", "content");
    host.add("gone", "content");
    host.put();
    replace_file(host.root / "bit", "cantent");
    fs::remove(host.root / "gone");
    NotedProgress verified;
    host.remote.verify(host.files, verified);
    CHECK(verified.count(Delivery::State::failed) == 2);
    NotedProgress fetched;
    host.remote.get(host.to_fetch(), fetched);
    CHECK(fetched.count(Delivery::State::failed) == 2);
    CHECK(files_below(host.back) == 0);
}

TEST_CASE("a path that leads out is neither sent nor fetched") {
    if (no_server()) return;
    FakeHost host;
    host.add("../escaped", "content");
    host.add("inside", "content");
    const auto& progress = host.put();
    CHECK(progress.deliveries.at(0).state == Delivery::State::failed);
    CHECK(progress.deliveries.at(1).state == Delivery::State::delivered);
    CHECK_FALSE(fs::exists(host.place.path() / "escaped"));
    NotedProgress fetched;
    host.remote.get(host.to_fetch(), fetched);
    CHECK(fetched.deliveries.at(0).state == Delivery::State::failed);
}

TEST_CASE("a cancelled put leaves no file that is not whole, and ends soon") {
    if (no_server()) return;
    FakeHost host;
    for (int i = 0; i < 600; ++i) host.add("runs/" + std::to_string(i), std::string(1000, 'x'));
    NotedProgress progress;
    progress.cancel_after = 5;
    host.remote.put(host.files, progress);
    CHECK(progress.deliveries.size() < 600);
    for (const auto& [index, delivery] : progress.deliveries)
        CHECK(sha256_of_file(host.root / host.files[index].path) == host.files[index].sha256.get());
}

TEST_CASE("what broken transfers left at a host is removed once it is old") {
    if (no_server()) return;
    FakeHost host;
    make_directories(host.root / "runs" / "a");
    const fs::path left = host.root / "runs" / "a" / part_name("x");
    replace_file(left, "half");
    replace_file(host.root / "runs" / "a" / "kept", "whole");
    CHECK(host.remote.list("runs/a") == std::vector<std::string>{"kept"});
    CHECK(host.remote.remove_leftovers(std::chrono::hours(1), false) == 0);
    const utimbuf long_ago{1'000'000'000, 1'000'000'000};
    ::utime(left.c_str(), &long_ago);
    CHECK(host.remote.remove_leftovers(std::chrono::hours(1), true) == 1);
    CHECK(host.remote.remove_leftovers(std::chrono::hours(1), false) == 1);
    CHECK(files_below(host.root) == 1);
}
