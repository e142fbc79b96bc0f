#pragma once
// The files that the binary carries for the child: the Python client and the hooks that read a script's configuration.

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace poster {

struct ClientFile {
    std::string_view path; // "poster.py", "hydra_plugins/poster.py"
    std::string_view content;
};

std::span<const ClientFile> client_files();
// Of all of them: the name of the folder that holds this version.
const std::string& client_digest();
// Below `parent`, in a folder named after their content, which is made where it is missing. Safe beside others that do
// the same. Throws Error.
std::filesystem::path install_client(const std::filesystem::path& parent);

} // namespace poster
