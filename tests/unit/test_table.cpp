#include <catch2/catch.hpp>

#include <table.hpp>
#include <text.hpp>

#include <string>

using poster::Colour;
using poster::Table;
using poster::Terminal;

namespace {

Table sample() {
    Table table({{"ID"}, {"NAME", 6}, {"COMMAND", 8}, {"TIME", 0, true}});
    table.add({{"k7qd", Colour::none},
               {"baseline", Colour::bold},
               {"python train.py --lr 0.1", Colour::none},
               {"3s", Colour::none}});
    table.add({{"m2xa", Colour::none}, {"日本", Colour::none}, {"true", Colour::none}, {"12.5s", Colour::none}});
    return table;
}

} // namespace

TEST_CASE("a table is not cut where there is no terminal") {
    CHECK(sample().render({}) == "ID    NAME      COMMAND                    TIME\n"
                                 "k7qd  baseline  python train.py --lr 0.1     3s\n"
                                 "m2xa  日本      true                      12.5s\n");
}

TEST_CASE("a table fits its terminal") {
    auto width = GENERATE(1, 2, 5, 10, 20, 30, 31, 40, 47, 80, 200);
    Terminal terminal;
    terminal.width = std::size_t(width);
    std::string text = sample().render(terminal);
    for (const auto& line : poster::split(text, '\n')) {
        CAPTURE(width, line);
        CHECK(poster::display_width(line) <= std::size_t(width));
    }
    CHECK(poster::split(text, '\n').size() == 3);
}

TEST_CASE("the widest column that may shrink does") {
    Terminal terminal;
    terminal.width = 40;
    CHECK(sample().render(terminal) == "ID    NAME      COMMAND             TIME\n"
                                       "k7qd  baseline  python train.py …     3s\n"
                                       "m2xa  日本      true               12.5s\n");
}

TEST_CASE("a column that holds nothing is left out") {
    Table table({{"ID"}, {"NAME"}, {"STATUS"}});
    table.add({{"a", Colour::none}, {"", Colour::none}, {"failed", Colour::none}});
    CHECK(table.render({}) == "ID  STATUS\na   failed\n");
}

TEST_CASE("a table without rows is nothing") {
    CHECK(Table({{"ID"}}).render({}).empty());
}

TEST_CASE("colours are drawn on terminals only") {
    Table table({{"S"}});
    table.add({{"x", Colour::red}});
    CHECK(table.render({}) == "S\nx\n");
    CHECK(table.render({true, true, 80}) == "\x1b[1mS\x1b[0m\n\x1b[31mx\x1b[0m\n");
}

TEST_CASE("what is printed cannot steer the terminal") {
    auto [text, expected] = GENERATE(table<std::string, std::string>({
        {"plain", "plain"},
        {"a\nb\tc\rd", "a\\nb\\tc\\rd"},
        {"\x1b[31mred", "\\x1b[31mred"},
        {"\x7f\x01", "\\x7f\\x01"},
        {"\xc2\x9b"
         "31m",
         "\\x9b31m"},
        {"über 日本", "über 日本"},
        {"a\xff", "a\xef\xbf\xbd"},
    }));
    CHECK(poster::printable(text) == expected);
}
