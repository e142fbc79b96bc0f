#include <catch2/catch.hpp>

#include <nlohmann/json.hpp>

#include <error.hpp>
#include <repeat.hpp>

using namespace poster;
using Words = std::vector<std::string>;

TEST_CASE("words that are added take the place of what they mean") {
    struct Case {
        Words argv, extra, merged;
    };
    const Case it = GENERATE(values<Case>({
        // overrides
        {{"py", "t.py", "lr=1"}, {"lr=2"}, {"py", "t.py", "lr=2"}},
        {{"py", "t.py", "lr=1"}, {"seed=2"}, {"py", "t.py", "lr=1", "seed=2"}},
        {{"py", "t.py", "+lr=1"}, {"++lr=2"}, {"py", "t.py", "++lr=2"}},
        {{"py", "t.py", "lr=1", "a.b=2"}, {"~lr"}, {"py", "t.py", "~lr", "a.b=2"}},
        {{"py", "t.py", "db@x=mysql"}, {"db@x=pg"}, {"py", "t.py", "db@x=pg"}},
        {{"py", "t.py", "lr=1"}, {"lr=2", "lr=3"}, {"py", "t.py", "lr=3"}},
        // options
        {{"py", "t.py", "--lr", "1"}, {"--lr", "2"}, {"py", "t.py", "--lr", "2"}},
        {{"py", "t.py", "--lr=1"}, {"--lr", "2"}, {"py", "t.py", "--lr", "2"}},
        {{"py", "t.py", "--lr", "1", "x"}, {"--lr=2"}, {"py", "t.py", "--lr=2", "x"}},
        {{"py", "t.py", "--lr", "-1"}, {"--lr", "-2"}, {"py", "t.py", "--lr", "-2"}},
        {{"py", "t.py", "-n", "1"}, {"-n", "2"}, {"py", "t.py", "-n", "2"}},
        {{"py", "t.py", "--quiet", "--lr", "1"}, {"--quiet"}, {"py", "t.py", "--quiet", "--lr", "1"}},
        {{"py", "t.py", "--quiet", "in.txt"}, {"--quiet"}, {"py", "t.py", "--quiet", "in.txt"}},
        {{"py", "t.py"}, {"--resume"}, {"py", "t.py", "--resume"}},
        {{"py", "t.py", "--lr", "1"}, {"--lrx", "2"}, {"py", "t.py", "--lr", "1", "--lrx", "2"}},
        // neither
        {{"py", "t.py", "a"}, {"b"}, {"py", "t.py", "a", "b"}},
        {{"lr=1", "x"}, {"lr=2"}, {"lr=1", "x", "lr=2"}}, // the program is never replaced
        {{"py", "t.py", "--lr", "1"}, {"--", "--lr", "2"}, {"py", "t.py", "--lr", "1", "--", "--lr", "2"}},
        {{"py", "t.py", "url=http://a"}, {"http://b?c=d"}, {"py", "t.py", "url=http://a", "http://b?c=d"}},
        {{"py"}, {}, {"py"}},
    }));
    CHECK(merge_arguments(it.argv, it.extra) == it.merged);
}

TEST_CASE("a redacted argument cannot be repeated, unless it is given again") {
    nlohmann::json run{{"argv", {"curl", "--token", "<redacted>"}}, {"cwd", "/"}};
    CHECK_THROWS_WITH(repeatable_spec(run, {}), Catch::Contains("redacted"));
    CHECK(repeatable_spec(run, {"--token", "x"}).argv == Words{"curl", "--token", "x"});
}

TEST_CASE("a redacted variable is the present environment's") {
    nlohmann::json run{{"argv", {"true"}}, {"cwd", "/"}, {"environment_changes", {"MY_TOKEN=<redacted>", "A=1"}}};
    ::unsetenv("MY_TOKEN");
    CHECK_THROWS_WITH(repeatable_spec(run, {}), Catch::Contains("MY_TOKEN"));
    ::setenv("MY_TOKEN", "now", 1);
    auto spec = repeatable_spec(run, {});
    ::unsetenv("MY_TOKEN");
    CHECK(spec.environment.at(0).second == "now");
    CHECK(spec.environment.at(1).second == "1");
}
