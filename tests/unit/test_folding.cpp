#include <catch2/catch.hpp>

#include <folding.hpp>

#include <string>
#include <vector>

using poster::Folder;

namespace {

// The final lines, each ended with a newline; fed in pieces of `step` bytes.
std::string fold(const std::string& bytes, bool colours = false, std::size_t step = std::string::npos) {
    std::string out;
    Folder folder(colours, [&](const Folder::Line& line) {
        out += line.text;
        if (line.ended) out += '\n';
    });
    step = std::min(step, std::max<std::size_t>(bytes.size(), 1));
    for (std::size_t i = 0; i < bytes.size(); i += step) folder.feed(std::string_view(bytes).substr(i, step));
    folder.finish();
    return out;
}

} // namespace

TEST_CASE("output is folded to what a terminal shows at the end") {
    auto [what, bytes, expected] = GENERATE(table<std::string, std::string, std::string>({
        {"nothing", "", ""},
        {"plain lines", "a\nb\n", "a\nb\n"},
        {"a last line without newline", "a\nb", "a\nb\n"},
        {"empty lines stay", "\n\na\n\n\n", "\n\na\n\n\n"},
        {"CRLF", "a\r\nb\r\n", "a\nb\n"},
        {"a progress bar", "10%\r50%\r100%\ndone\n", "100%\ndone\n"},
        {"a shorter text over a longer one", "abcdef\rxy\n", "xycdef\n"},
        {"erase to the end of the line", "abcdef\rxy\x1b[K\n", "xy\n"},
        {"erase to the beginning", "abcdef\b\b\x1b[1K\n", "     f\n"},
        {"erase the line", "abc\x1b[2K\rxy\n", "xy\n"},
        {"backspaces", "abc\b\bX\n", "aXc\n"},
        {"backspaces stop at the edge", "a\b\b\b\bX\n", "X\n"},
        {"tqdm", "\r  0%|          | 0/2\r 50%|█████     | 1/2\r100%|██████████| 2/2\n", "100%|██████████| 2/2\n"},
        {"nested tqdm", "\router 0\n\rinner 0\x1b[A\n\rinner 1\x1b[A\router 1\n\x1b[Ax\n", "xuter 1\ninner 1\n"},
        {"tqdm that leaves", "\rbar 1\rbar 2\r     \rdone\n", "done \n"},
        {"rich", "a\nb\n\r\x1b[2K\x1b[1A\x1b[2K\x1b[1A\x1b[2KA\nB\n", "A\nB\n"},
        {"rich that is transient", "x\nwork 1\nwork 2\n\x1b[1A\x1b[2K\x1b[1A\x1b[2K", "x\n"},
        {"pip", "   \x1b[90m━━━\x1b[0m 1/2\r   \x1b[32m━━━━━━\x1b[0m 2/2\n\x1b[?25h", "   ━━━━━━ 2/2\n"},
        {"cursor up and down", "a\nb\nc\x1b[2AX\x1b[2BY\n", "aX\nb\nc Y\n"},
        {"cursor up stops at the top", "a\n\x1b[99Ab\n", "b\n"},
        {"next and previous line", "abc\ndef\x1b[1FX\x1b[1EY\n", "Xbc\nYef\n"},
        {"cursor to a column", "abc\x1b[2GX\x1b[6GY\n", "aXc  Y\n"},
        {"right and left", "a\x1b[3Cb\x1b[4DX\n", "aX  b\n"},
        {"a far column is kept near", "a\x1b[999999999Gb\r\x1b[Kc\n", "c\n"},
        {"position", "a\nb\n\x1b[1;2HX\n", "aX\nb\n"},
        {"erase below", "a\nb\nc\x1b[2A\r\x1b[Jx\n", "x\n"},
        {"clear the screen", "old\nold\n\x1b[H\x1b[2Jnew\n", "new\n"},
        {"unknown ways to erase", "abc\x1b[9K\x1b[9J\n", "abc\n"},
        {"tabs that are shifted become blanks", "a\tb\r\x1b[1@x\n", "xa       b\n"},
        {"the scrollback is not erased", "a\n\x1b[3Jb\n", "a\nb\n"},
        {"save and restore",
         "ab\x1b"
         "7cd\x1b"
         "8X\n",
         "abXd\n"},
        {"save and restore, the other way", "ab\x1b[scd\x1b[uX\n", "abXd\n"},
        {"delete, insert, erase characters", "abcdef\r\x1b[2P\x1b[1@\x1b[2C\x1b[1X\n", " c ef\n"},
        {"delete and insert lines", "a\nb\nc\x1b[1A\r\x1b[1M\x1b[1Lx\n", "a\nx\nc\n"},
        {"a title",
         "\x1b]0;title\x07"
         "a\n",
         "a\n"},
        {"a hyperlink", "\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\n", "link\n"},
        {"a title that never ends", "\x1b]0;title\nb\n", "\nb\n"},
        {"other strings", "\x1bPq#0\x1b\\a\x1b_x\x1b\\b\n", "ab\n"},
        {"character sets", "\x1b(Ba\x1b)0b\n", "ab\n"},
        {"colours go", "\x1b[1;31mred\x1b[0m\n", "red\n"},
        {"a private mode", "\x1b[?25la\x1b[?2004h\n", "a\n"},
        {"a sequence broken off", "\x1b[12", ""},
        {"an escape character alone", "\x1b", ""},
        {"bell and NUL", std::string("a\a\0b\n", 5), "ab\n"},
        {"tabs stay", "a\tb\tc\n\td\n", "a\tb\tc\n\td\n"},
        {"a tab that is written over", "a\tb\r123\n", "123     b\n"},
        {"a tab over text only moves", "abcdefghij\r\tX\n", "abcdefghXj\n"},
        {"wide characters", "日本\rX\n", "X 本\n"},
        {"half a wide character", "日本\x1b[2GX\n", " X本\n"},
        {"an emoji", "🚀 go\r🚀\n", "🚀 go\n"},
        {"combining marks",
         "e\xcc\x81"
         "a\n",
         "e\xcc\x81"
         "a\n"},
        {"a mark without a letter",
         "\xcc\x81"
         "a\n",
         "a\n"},
        {"invalid UTF-8 stays", "a\xff\xc3(\xe2\x82\n", "a\xff\xc3(\xe2\x82\n"},
        {"Latin-1", "f\xfcr\n", "f\xfcr\n"},
        {"overlong forms stay bytes", "\xc0\xaf\n", "\xc0\xaf\n"},
        {"eight-bit control characters",
         "a\xc2\x9b"
         "31mb\n",
         "a31mb\n"},
        {"a control character within a sequence", "ab\x1b[\r2CX\n", "abX\n"},
    }));
    CAPTURE(what);
    CHECK(fold(bytes) == expected);
    CHECK(fold(bytes, false, 1) == expected);
    CHECK(fold(bytes, false, 3) == expected);
}

TEST_CASE("colours stay where they are wanted, and end with their line") {
    auto [bytes, expected] = GENERATE(table<std::string, std::string>({
        {"\x1b[31mred\x1b[0m plain\n", "\x1b[0;31mred\x1b[0m plain\n"},
        {"\x1b[31mred\nred\x1b[m\n", "\x1b[0;31mred\x1b[0m\n\x1b[0;31mred\x1b[0m\n"},
        {"\x1b[1m\x1b[32mx\x1b[22my\x1b[39mz\n", "\x1b[0;1;32mx\x1b[0;32my\x1b[0mz\n"},
        {"\x1b[38;5;208mx\x1b[48;2;1;2;3my\x1b[0m\n", "\x1b[0;38;5;208mx\x1b[0;38;5;208;48;2;1;2;3my\x1b[0m\n"},
        {"\x1b[31mlong\x1b[0m\rxx\n", "xx\x1b[0;31mng\x1b[0m\n"},
        {"\x1b]0;title\x07\x1b[4mx\x1b[24my\n", "\x1b[0;4mx\x1b[0my\n"},
        {"\xff\n", "\xef\xbf\xbd\n"},
    }));
    CHECK(fold(bytes, true) == expected);
    CHECK(fold(bytes, true, 1) == expected);
}

TEST_CASE("a row that left the screen at its top is handed on and cannot be changed") {
    std::string bytes;
    for (int i = 0; i < 300; ++i) bytes += std::to_string(i) + "\n";
    std::vector<std::string> lines;
    Folder folder(false, [&](const Folder::Line& line) { lines.emplace_back(line.text); });
    folder.feed(bytes);
    CHECK(lines.size() == 300 - Folder::kScreenRows + 1);
    folder.feed("\x1b[999AX");
    folder.finish();
    REQUIRE(lines.size() == 300);
    CHECK(lines[100] == "100");
    CHECK(lines[101] == "X01");
}

TEST_CASE("a line of any length takes little memory and is printed whole") {
    std::string line(5 << 20, 'x');
    std::size_t pieces = 0, ended = 0, length = 0;
    Folder folder(false, [&](const Folder::Line& piece) {
        ++pieces;
        ended += piece.ended ? 1 : 0;
        length += piece.text.size();
    });
    folder.feed("first\n" + line + "\nlast\n");
    folder.finish();
    CHECK(length == 5 + line.size() + 4);
    CHECK(ended == 3);
    CHECK(pieces > 3);
}

TEST_CASE("a line has the time of its last byte") {
    std::vector<std::int64_t> stamps;
    Folder folder(false, [&](const Folder::Line& line) { stamps.push_back(line.stamp); });
    folder.feed("a", 1);
    folder.feed("b\nc", 2);
    folder.feed("\rd", 3);
    folder.feed("\n\ne\n", 4);
    folder.finish();
    CHECK(stamps == std::vector<std::int64_t>{2, 3, 4, 4});
}

TEST_CASE("settled rows are handed on while a run goes on") {
    std::string out;
    Folder folder(false, [&](const Folder::Line& line) { out.append(line.text).append("\n"); });
    folder.feed("a\nb\n50%");
    folder.settle();
    CHECK(out == "a\nb\n");
    folder.feed("\r99%\n");
    folder.settle();
    CHECK(out == "a\nb\n99%\n");
}

TEST_CASE("a terminal is left where the program left it") {
    std::string out;
    Folder folder(true, [&](const Folder::Line& line) { out.append(line.text).append(line.ended ? "\n" : ""); });
    folder.feed("a\nb\nc\x1b[1A\r\x1b[31m");
    std::string moves = folder.finish_on_terminal();
    CHECK(out == "a\nb\nc");
    CHECK(moves == "\r\x1b[1A\x1b[0;31m");
}
