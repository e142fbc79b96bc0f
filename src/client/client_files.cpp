#include "client_files.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include <fmt/format.h>

#include <error.hpp>
#include <files.hpp>

namespace poster {

namespace fs = std::filesystem;

fs::path install_client(const fs::path& parent) {
    fs::path folder = parent / client_digest();
    struct stat facts{};
    if (::stat(folder.c_str(), &facts) == 0) return folder;
    // Whole under another name first: a Python that starts beside us sees all of it or nothing.
    const fs::path draft = parent / fmt::format(".{}-{}", client_digest(), ::getpid());
    for (const auto& file : client_files()) {
        const fs::path path = draft / file.path;
        make_directories(path.parent_path());
        replace_file(path, file.content);
    }
    if (::rename(draft.c_str(), folder.c_str()) != 0) {
        const int error = errno;
        std::error_code ignored;
        fs::remove_all(draft, ignored);
        if (error != EEXIST && error != ENOTEMPTY) throw_errno("create " + folder.native(), error);
    }
    return folder;
}

} // namespace poster
