#include <catch2/catch.hpp>

#include <stdlib.h>
#include <sys/stat.h>

#include "error.hpp"
#include "files.hpp"
#include "objects.hpp"
#include "sha256.hpp"

using namespace poster;

TEST_CASE("the same content is kept once") {
    char directory[] = "/tmp/poster-test-XXXXXX";
    REQUIRE(::mkdtemp(directory));
    const fs::path store{directory};
    const fs::path object = store / "objects" / sha256_hex("patch");
    store_object(store, "patch", store / "a");
    store_object(store, "patch", store / "b");
    CHECK(read_file(store / "a") == "patch");
    CHECK(fs::hard_link_count(store / "a") == 3);
    CHECK(fs::equivalent(store / "a", store / "b"));
    struct stat facts{};
    REQUIRE(::stat((store / "a").c_str(), &facts) == 0);
    CHECK((facts.st_mode & 0777) == 0600);
    store_object(store, "another patch", store / "b"); // of a later attempt
    CHECK(read_file(store / "b") == "another patch");
    CHECK(read_file(store / "a") == "patch");
    CHECK_THROWS_AS(store_object(store, "patch", store / "none" / "a"), Error);

    SECTION("a damaged object is replaced, not linked") {
        replace_file(object, "pat");
        store_object(store, "patch", store / "c");
        CHECK(read_file(store / "c") == "patch");
    }
    fs::remove_all(store);
}
