// Manifests of remotes that somebody else may write to.

#include <catch2/catch.hpp>

#include <place.hpp>

#include "store_fixture.hpp"

namespace poster {

namespace {

class Endless : public Remote {
public:
    std::string destination() const override { return "endless"; }
    void put(std::span<const RemoteFile>, Progress&) override {}
    void get(std::span<const RemoteFile> files, Progress& progress) override {
        for (; !progress.cancelled() && megabytes < 100'000; ++megabytes) progress.moved(0, 1 << 20);
        if (!progress.cancelled()) progress.done(0, Delivery::arrived());
        replace_file(files[0].local, "{}");
    }
    void verify(std::span<const RemoteFile>, Progress&) override {}
    std::vector<std::string> list(const std::string&) override { return {}; }
    std::size_t remove_leftovers(Milliseconds, bool) override { return 0; }

    int megabytes = 0;
};

} // namespace

TEST_CASE("a manifest that has no end is left off") {
    const TemporaryDirectory scratch;
    Endless remote;
    const ManifestThere there = manifest_at(remote, "20260101-000000-aaaa", scratch.path() / "manifest");
    CHECK_FALSE(there.manifest);
    CHECK(there.trouble.state == Delivery::State::failed);
    CHECK_THAT(there.trouble.error, Catch::Contains("larger than any"));
    CHECK(remote.megabytes < 1000);
}

} // namespace poster
