#include <catch2/catch.hpp>

#include <random>

#include <error.hpp>
#include <split_commands.hpp>
#include <text.hpp>

using namespace poster;

namespace {

const auto kKnown = [](const std::string& word) { return word == "python" || word == "true" || word == "./go"; };

std::vector<Words> split_known(const Words& words) {
    return split_commands(words, kKnown);
}

} // namespace

TEST_CASE("a backslash, or a space before a program, separates commands") {
    auto [words, commands] = GENERATE(table<Words, std::vector<Words>>({
        {{"python", "a.py"}, {{"python", "a.py"}}},
        {{"python", "a.py", " python", "b.py"}, {{"python", "a.py"}, {"python", "b.py"}}},
        {{"python", "a.py", "\\", "python", "b.py"}, {{"python", "a.py"}, {"python", "b.py"}}},
        {{"a", "\\", "b", "\\", "c"}, {{"a"}, {"b"}, {"c"}}},
        {{"a", " ./go", "x"}, {{"a"}, {"./go", "x"}}},
        {{"a", "\\", "--help"}, {{"a"}, {"--help"}}}, // not known to be a program, and separated all the same
    }));
    CHECK(split_known(words) == commands);
}

TEST_CASE("what only looks like a separator is a word of the command") {
    const Words words = GENERATE(Words{"echo", " hi"}, Words{"echo", "  python"}, Words{"echo", " "}, Words{"echo", ""},
                                 Words{"echo", "\\\\"}, Words{"echo", "\\n"}, Words{"echo", "python "},
                                 Words{"echo", " python x"}, Words{"echo", "\tpython"}, Words{"echo", " \\"});
    CHECK(split_known(words) == std::vector<Words>{words});
}

TEST_CASE("an empty command is refused, and the message shows where") {
    auto [words, where] = GENERATE(table<Words, std::string>({{{"\\", "a"}, "at the beginning"},
                                                              {{" python", "a"}, "at the beginning"},
                                                              {{"a", "b", "\\"}, "at the end, after `a b`"},
                                                              {{"a", "\\", "\\", "b"}, "after `a`"},
                                                              {{"\\"}, "at the beginning"}}));
    CHECK_THROWS_WITH(split_known(words), Catch::Contains(where));
}

TEST_CASE("commands that are joined by separators come apart again") {
    std::mt19937 random(20261124); // NOLINT: the same cases each time
    const Words pool{"a", "--lr=1", "x y", "", "\\x", "'", "\"", "ü", "-", "--", "lr=1", "*", "$HOME", "  b", "#"};
    for (int round = 0; round < 2000; ++round) {
        std::vector<Words> commands(1 + random() % 5);
        Words joined;
        for (auto& command : commands) {
            const bool spaced = random() % 2 == 0;
            command = {spaced ? "python" : pool[random() % pool.size()]};
            for (auto more = random() % 5; more > 0; --more) command.push_back(pool[random() % pool.size()]);
            if (&command != &commands.front() && !spaced) joined.emplace_back("\\");
            joined.insert(joined.end(), command.begin(), command.end());
            if (&command != &commands.front() && spaced) joined[joined.size() - command.size()].insert(0, " ");
        }
        REQUIRE(split_known(joined) == commands);
    }
}

TEST_CASE("a line is split as a shell splits it") {
    auto [line, words] = GENERATE(table<std::string, Words>({
        {"", {}},
        {"  a   b\t c ", {"a", "b", "c"}},
        {"a 'b c' \"d e\"", {"a", "b c", "d e"}},
        {"a\\ b", {"a b"}},
        {"a'b'\"c\"d", {"abcd"}},
        {"'' \"\"", {"", ""}},
        {R"("a\"b" "a\nb" 'a\b')", {"a\"b", "a\\nb", "a\\b"}},
        {"a # comment", {"a"}},
        {"# comment", {}},
        {"a#b '#c'", {"a#b", "#c"}},
        {"a $HOME * >x", {"a", "$HOME", "*", ">x"}},
    }));
    CHECK(shell_split(line) == words);
}

TEST_CASE("a line that is left open is none") {
    const std::string line = GENERATE("'a", "\"a", "a\\", "a 'b c", "\"a\\\"");
    CHECK_FALSE(shell_split(line).has_value());
}

TEST_CASE("what shell_join writes shell_split reads") {
    std::mt19937 random(1); // NOLINT: the same cases each time
    const std::string letters = "ab '\"\\$#*~\t|;&<>()[]{}!?=-";
    for (int round = 0; round < 2000; ++round) {
        Words words(random() % 5);
        for (auto& word : words)
            for (auto length = random() % 8; length > 0; --length) word += letters[random() % letters.size()];
        REQUIRE(shell_split(shell_join(words)) == words);
    }
}

TEST_CASE("a file holds one command a line") {
    CHECK(parse_command_lines("a b\n\n# x\n  c 'd e' # y\r\nf", "x.txt") ==
          std::vector<Words>{{"a", "b"}, {"c", "d e"}, {"f"}});
    CHECK_THROWS_WITH(parse_command_lines("a\nb 'c\n", "x.txt"), Catch::Contains("x.txt:2"));
    CHECK_THROWS_AS(parse_command_lines("\n# nothing\n", "x.txt"), UsageError);
}
