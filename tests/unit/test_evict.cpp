// What `poster gc --delivered` takes away here, with a remote that says yes to everything.

#include <fcntl.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>

#include <evict.hpp>
#include <load_settings.hpp>
#include <registry.hpp>

#include "remote_fixture.hpp"
#include "store_fixture.hpp"

namespace poster {

namespace {

const std::string kId = "20260101-000000-aaaa";

class Agreeing : public Remote {
public:
    std::string destination() const override { return "agreeing"; }
    void put(std::span<const RemoteFile>, Progress&) override {}
    void get(std::span<const RemoteFile>, Progress&) override {}
    void verify(std::span<const RemoteFile> files, Progress& progress) override {
        for (std::size_t i = 0; i < files.size(); ++i) progress.done(i, Delivery::arrived());
        meanwhile();
    }
    std::vector<std::string> list(const std::string&) override { return {}; }
    std::size_t remove_leftovers(Milliseconds, bool) override { return 0; }

    std::function<void()> meanwhile = [] {};
};

// An ended run with a checkpoint and an image, which the remote has.
struct Delivered : StoreFixture {
    Settings settings = [] {
        std::vector<Option> options = core_options();
        for (auto& option : callback_options()) options.push_back(option);
        return load_settings({{}, {}, false}, options);
    }();
    Place there{"s3", "agreeing", nullptr, std::make_unique<Agreeing>()};
    const fs::path checkpoint = store.run_dir(kId) / "files" / "model.pt";
    const fs::path image = store.run_dir(kId) / "images" / "a \"b\".png";

    Delivered() {
        add(kId);
        make_directories(outbox().dir());
        OutboxNotes notes(outbox(), "s3");
        for (const auto& file : {checkpoint, image}) {
            make_directories(file.parent_path());
            replace_file(file, file.native());
            const timespec past[2] = {{1'767'225'610, 0}, {1'767'225'610, 0}};
            ::utimensat(AT_FDCWD, file.c_str(), past, 0);
            struct stat facts{};
            ::stat(file.c_str(), &facts);
            notes.copied("agreeing", fs::relative(file, store.run_dir(kId)),
                         {std::uint64_t(facts.st_size), modified_ns(facts), sha256_hex(file.native()), ""});
        }
    }

    Outbox outbox() const { return Outbox(store.run_dir(kId)); }
    void meanwhile(std::function<void()> what) { static_cast<Agreeing&>(*there.remote).meanwhile = std::move(what); }
    Evictions evict() {
        EvictionRules rules;
        rules.dry_run = false;
        return poster::evict(store, kId, settings, there, rules);
    }
    void queue(const std::string& callback, const std::string& kind, const std::string& payload) const {
        OutboxEntry entry;
        entry.key = callback + kind;
        entry.callback = callback;
        entry.kind = kind;
        entry.payload = payload;
        outbox().queue(entry);
    }
};

} // namespace

TEST_CASE("what a remote has is taken away here, and noted first") {
    Delivered run;
    CHECK(run.evict().files == 2);
    CHECK_FALSE(fs::exists(run.checkpoint));
    CHECK(run.outbox().evicted().size() == 2);
    CHECK(run.evict().files == 0);
}

TEST_CASE("what another remote has yet to get stays") {
    Delivered run;
    run.settings.set("local.path", (run.place.path() / "nas").native(), "test");
    run.queue("local", Outbox::kCopies, "");
    const Evictions evictions = run.evict();
    CHECK(evictions.files == 0);
    CHECK_THAT(evictions.kept.at("files/model.pt").error, Catch::Contains("yet to be copied to"));
    CHECK(fs::exists(run.checkpoint));
    CHECK(run.outbox().evicted().empty());
}

TEST_CASE("an image that a waiting message has stays until that is delivered") {
    Delivered run;
    run.queue("telegram", "image", R"({"image": {"path": "images/a \"b\".png"}})");
    CHECK(run.evict().kept.size() == 1);
    CHECK_FALSE(fs::exists(run.checkpoint));
    CHECK(fs::exists(run.image));
    OutboxNotes(run.outbox(), "telegram").ended("telegramimage", Delivery::arrived(), 1, {});
    CHECK(run.evict().files == 1);
    CHECK_FALSE(fs::exists(run.image));
}

TEST_CASE("a run that is continued while the remote is asked keeps its files") {
    Delivered run;
    const auto continued = GENERATE(values<std::string>({"marked", "begun"}));
    run.meanwhile([&] {
        if (continued == "marked") return run.store.mark_active(kId);
        run.write(kId, StoreFixture::run_record(kId), new_attempt_record(2, RunSpec{})); // and its mark taken away
    });
    const Evictions evictions = run.evict();
    CHECK(evictions.files == 0);
    CHECK(evictions.kept.at("files/model.pt").error == "the run goes on again");
    CHECK(fs::exists(run.checkpoint));
    CHECK(run.outbox().evicted().empty());
}

} // namespace poster
