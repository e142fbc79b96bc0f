// Hashes in the background.

#include <catch2/catch.hpp>

#include <atomic>

#include <hashing.hpp>
#include <sha256.hpp>

#include "remote_fixture.hpp"

using namespace poster;

namespace {

std::vector<ToHash> to_hash(const RemoteFixture& fixture) {
    std::vector<ToHash> found;
    for (const auto& file : fixture.files) found.push_back({file.local, file.bytes});
    return found;
}

} // namespace

TEST_CASE("files are hashed in the background, as far as they are to be sent") {
    RemoteFixture fixture;
    fixture.add("empty", "");
    append_line(fixture.add("grows", "first\n").local, "second");
    fixture.add("large", std::string(3'000'000, 'x'));
    replace_file(fixture.add("cut", "content").local, "con");
    fs::remove(fixture.add("gone", "content").local);
    fixture.add("after", "content");
    const Hashing hashing(to_hash(fixture), [] { return false; });
    for (const std::size_t there : {0, 1, 2, 5}) CHECK(hashing.of(there).get() == fixture.files[there].sha256.get());
    for (const std::size_t lost : {3, 4}) {
        CHECK(hashing.of(lost).get().empty());
        CHECK_FALSE(hashing.of(lost).empty()); // it was one to wait for
    }
}

TEST_CASE("who waits for a hash is let go when all is cancelled, or nobody works on it any more") {
    const bool cancel = GENERATE(true, false);
    RemoteFixture fixture;
    for (int i = 0; i < 100; ++i) fixture.add(std::to_string(i), std::string(3'000'000, 'x'));
    std::atomic<bool> cancelled{false};
    std::vector<ContentHash> hashes;
    {
        const Hashing hashing(to_hash(fixture), [&] { return cancelled.load(); });
        for (std::size_t i = 0; i < fixture.files.size(); ++i) hashes.push_back(hashing.of(i));
        cancelled = cancel;
    }
    CHECK(hashes.back().get().empty());
}
