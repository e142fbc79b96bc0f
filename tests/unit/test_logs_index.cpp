#include <catch2/catch.hpp>

#include <log_index.hpp>

#include <filesystem>
#include <fstream>
#include <vector>

#include <unistd.h>

using poster::LogIndex;
using poster::LogPiece;

namespace {

class IndexFile {
public:
    explicit IndexFile(const std::string& content) { append(content); }
    ~IndexFile() { std::filesystem::remove(path_); }
    void append(const std::string& content) { std::ofstream(path_, std::ios::app) << content; }
    const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_ =
        std::filesystem::temp_directory_path() / ("poster-test-" + std::to_string(::getpid()) + ".idx");
};

std::vector<LogPiece> all(LogIndex& index, std::uint64_t end, bool complete) {
    std::vector<LogPiece> pieces;
    while (auto piece = index.next(end, complete)) pieces.push_back(*piece);
    return pieces;
}

using Pieces = std::vector<LogPiece>;

} // namespace

TEST_CASE("a line of output.idx is read, and anything else is not") {
    auto [line, good] = GENERATE(table<std::string, bool>({
        {"[0,0,5,1]", true},
        {"[12, 5, 7, 2]", true},
        {"[12,5,7,3]\r", true},
        {"", false},
        {"[12,5", false},
        {"12,5,7,1", false},
        {"[12,5,7,4]", false},
        {"[12,5,7,0]", false},
        {"[-1,5,7,1]", false},
        {"[1,18446744073709551615,7,1]", false},
        {"{\"a\":1}", false},
    }));
    CAPTURE(line);
    CHECK(poster::parse_log_piece(line).has_value() == good);
}

TEST_CASE("the log is cut into pieces without gap or overlap") {
    auto [content, expected] = GENERATE(table<std::string, Pieces>({
        {"[1,0,5,1]\n[2,5,5,2]\n", {{1, 0, 5, 1}, {2, 5, 5, 2}}},
        {"", {{0, 0, 10, 1}}},
        {"[1,0,4,2]\n", {{1, 0, 4, 2}, {1, 4, 6, 1}}},
        {"[1,2,3,2]\n[5,6,4,2]\n", {{0, 0, 2, 1}, {1, 2, 3, 2}, {1, 5, 1, 1}, {5, 6, 4, 2}}},
        {"[1,0,4,1]\nrubbish\n[3,4,6,2]\n", {{1, 0, 4, 1}, {3, 4, 6, 2}}},
        {"[1,0,6,1]\n[2,4,6,2]\n", {{1, 0, 6, 1}, {2, 6, 4, 2}}},
        {"[1,0,99,1]\n", {{1, 0, 10, 1}}},
        {"[1,0,0,1]\n[1,0,10,2]\n", {{1, 0, 10, 2}}},
    }));
    IndexFile file(content);
    LogIndex index(file.path());
    CHECK(all(index, 10, true) == expected);
}

TEST_CASE("bytes that the index has not reached are held back while the run goes on") {
    IndexFile file("[1,0,4,1]\n[2,4,");
    LogIndex index(file.path());
    CHECK(all(index, 8, false) == Pieces{{1, 0, 4, 1}});
    file.append("4,2]\n");
    CHECK(all(index, 8, false) == Pieces{{2, 4, 4, 2}});
    CHECK(all(index, 10, false).empty());
    CHECK(all(index, 10, true) == Pieces{{2, 8, 2, 1}});
}

TEST_CASE("without an index all output counts as stdout") {
    LogIndex index("/nonexistent/output.idx");
    CHECK(all(index, 7, true) == Pieces{{0, 0, 7, 1}});
}
