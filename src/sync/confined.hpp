#pragma once
// Paths that somebody else has named, below a folder that none of them may lead out of: no link is followed.

#include <sys/stat.h>

#include <filesystem>
#include <optional>
#include <string>

#include <fd.hpp>

namespace poster {

// Relative, with no part that is empty, "." or "..", nor longer than a name may be.
bool is_confined(const std::string& path);

// All throw Error; `path` is_confined.
class Confined {
public:
    explicit Confined(const std::filesystem::path& root);

    // nullopt: nothing stands there. A link or a file in the place of a folder above it is an Error.
    std::optional<struct stat> look(const std::string& path) const;
    // Moves a file of the same file system there; the folders above it are made. False: something stands there, which
    // stays.
    bool place(const std::filesystem::path& file, const std::string& path) const;
    void remove(const std::string& path) const;

private:
    enum class Missing { make, leave };
    Fd folder_of(const std::string& path, Missing missing) const; // none: it is missing

    std::filesystem::path root_;
    Fd folder_;
};

} // namespace poster
