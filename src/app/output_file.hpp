#pragma once
// A file that the user asked for: it takes its name when it is complete, and has the modes of any new file of theirs.

#include <filesystem>
#include <string>
#include <string_view>

#include <fd.hpp>

namespace poster {

class OutputFile {
public:
    // What is there and is no regular file, such as a pipe or /dev/stdout, is written as it is. Throws Error.
    explicit OutputFile(std::filesystem::path path);
    ~OutputFile(); // what was not finished is removed
    OutputFile(const OutputFile&) = delete;
    OutputFile& operator=(const OutputFile&) = delete;

    void write(std::string_view bytes);
    void finish();

private:
    std::filesystem::path path_, temporary_; // temporary_: empty once there is none
    Fd file_;
};

} // namespace poster
