#include "commands.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include <client_files.hpp>
#include <error.hpp>
#include <files.hpp>

#include "table.hpp"

namespace poster {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFile = "poster.py";

std::string_view client_source() {
    const auto files = client_files();
    const auto found = std::find_if(files.begin(), files.end(), [](const auto& file) { return file.path == kFile; });
    if (found == files.end()) throw Error("this build carries no Python client");
    return found->content;
}

// Every version of the client begins with the same line.
bool is_a_client(std::string_view content) {
    const std::string_view source = client_source();
    const std::string_view first = source.substr(0, source.find('\n') + 1);
    return content.substr(0, first.size()) == first;
}

// Like any source file of the project, other than what replace_file makes.
void open_to_readers(const fs::path& path) {
    constexpr mode_t kSourceMode = 0666;
    const mode_t mask = ::umask(0);
    ::umask(mask);
    check_syscall("chmod " + path.native(), ::chmod(path.c_str(), kSourceMode & ~mask));
}

} // namespace

int write_client(const ClientArguments& arguments) {
    if (!arguments.write) {
        print_out(client_source());
        return 0;
    }
    const fs::path folder = *arguments.write;
    if (!fs::is_directory(folder)) throw Error(fmt::format("{} is no folder", folder.native()));
    const fs::path path = folder / kFile;
    std::error_code ignored;
    const bool exists = fs::exists(fs::symlink_status(path, ignored));
    const auto content = read_file(path);
    if (exists && (!content || !is_a_client(*content)))
        throw Error(fmt::format("{} is something else: it is left as it is", path.native()),
                    "move it away, or write the client into another folder");
    if (content == client_source()) return 0;
    replace_file(path, client_source());
    open_to_readers(path);
    return 0;
}

} // namespace poster
