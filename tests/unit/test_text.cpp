#include <catch2/catch.hpp>

#include <csignal>

#include "text.hpp"

using namespace poster;

TEST_CASE("a word is quoted only where a shell needs it") {
    auto [word, quoted] = GENERATE(table<std::string, std::string>({
        {"plain-1.0_x=/a:b,c@d+%", "plain-1.0_x=/a:b,c@d+%"},
        {"", "''"},
        {"a b", "'a b'"},
        {"it's", R"('it'\''s')"},
        {"$x", "'$x'"},
        {"~", "'~'"},
        {"a\nb", "'a\nb'"},
        {"*", "'*'"},
        {"é", "'é'"},
    }));
    CHECK(shell_quote(word) == quoted);
    CHECK(shell_join({"a", word}) == "a " + quoted);
}

TEST_CASE("the closest candidate is found, and none where none is near") {
    const std::vector<std::string> commands{"run", "ls", "show", "logs", "stop", "callbacks", "config", "telegram"};
    auto [word, found] = GENERATE(table<std::string, std::string>({
        {"telegrm", "telegram"},
        {"rnu", "run"},
        {"shwo", "show"},
        {"RUN", "run"},
        {"callback", "callbacks"},
        {"lss", "ls"},
        {"banana", ""},
        {"", ""},
    }));
    CHECK(closest(word, commands) == found);
    CHECK(closest("hardware.intervall", {"hardware.gpus", "hardware.interval"}) == "hardware.interval");
}

TEST_CASE("an amount of bytes has one decimal") {
    auto [bytes, text] = GENERATE(table<std::uint64_t, std::string>({{0, "0 B"},
                                                                     {999, "999 B"},
                                                                     {1000, "1.0 kB"},
                                                                     {3'400'000'000, "3.4 GB"},
                                                                     {999'960, "1.0 MB"},
                                                                     {~0ULL, "18.4 EB"}}));
    CHECK(format_bytes(bytes) == text);
}

TEST_CASE("a text is cut to the columns it takes on a terminal") {
    CHECK(display_width("aé漢🙂e\u0301") == 7);
    CHECK(shorten("abcdef", 6) == "abcdef");
    CHECK(shorten("abcdef", 4) == "abc…");
    CHECK(shorten("漢漢漢", 4) == "漢…");
    CHECK(shorten("abc", 0).empty());
    CHECK(shorten("abc", 1) == "…");
}

TEST_CASE("foreign words come in a line, without what a terminal would obey") {
    CHECK(in_a_line("a\x1b]0;title\x07 b\r\n\x7f c") == "a ]0;title  b    c");
    CHECK(in_a_line("a\xC2\x9B"
                    "2Jb\xC2") == "a 2Jb\xEF\xBF\xBD");
    CHECK(in_a_line("\xC2\xA0\xC3\xA4") == "\xC2\xA0\xC3\xA4");
    CHECK(display_width(in_a_line(std::string(100'000, 'x'))) == 200);
}

TEST_CASE("bytes that are no UTF-8 are replaced, all others stay") {
    auto [bytes, text] = GENERATE(table<std::string, std::string>({
        {"plain é 漢 🙂", "plain é 漢 🙂"},
        {"a\xff"
         "b",
         "a\uFFFDb"},
        {"\xc3", "\uFFFD"},
        {"\xc0\xaf", "\uFFFD\uFFFD"},
        {"\xed\xa0\x80", "\uFFFD\uFFFD\uFFFD"},
        {"\xf4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
        {"\xe6\xbc", "\uFFFD"},
        {std::string("a\0b", 3), std::string("a\0b", 3)},
    }));
    CHECK(valid_utf8(bytes) == text);
}

TEST_CASE("a signal has a name, and a name a signal") {
    auto [signal, name] = GENERATE_COPY(table<int, std::string>({{SIGTERM, "SIGTERM"},
                                                                 {SIGKILL, "SIGKILL"},
                                                                 {SIGRTMIN, "SIGRTMIN"},
                                                                 {SIGRTMIN + 3, "SIGRTMIN+3"},
                                                                 {SIGIO, "SIGIO"}}));
    CHECK(signal_name(signal) == name);
    CHECK(signal_from_name(name) == signal);
    CHECK(signal_from_name(name.substr(3)) == signal);
    CHECK(signal_from_name(std::to_string(signal)) == signal);
    CHECK_FALSE(signal_from_name("SIGNONE"));
    CHECK_FALSE(signal_from_name("0"));
    CHECK_FALSE(signal_from_name(""));
}

TEST_CASE("a split text has no empty parts") {
    CHECK(split(",a,,b,", ',') == std::vector<std::string>{"a", "b"});
    CHECK(split("", ',').empty());
}
