#include "stores.hpp"

#include <algorithm>

#include <files.hpp>
#include <text.hpp>

namespace poster {

namespace {

fs::path list_file() {
    const fs::path directory = user_directory("XDG_STATE_HOME", ".local/state");
    return directory.empty() ? directory : directory / "stores";
}

} // namespace

void remember_store(const fs::path& dir) noexcept {
    try {
        const fs::path file = list_file();
        if (file.empty() || dir.string().find('\n') != std::string::npos) return;
        const auto known = split(read_file(file).value_or(""), '\n');
        if (std::find(known.begin(), known.end(), dir.string()) != known.end()) return;
        make_directories(file.parent_path());
        append_line(file, dir.string());
    } catch (const std::exception&) {
        return; // a home that cannot be written: `ls --all-stores` will not know it
    }
}

void ensure_store(const Store& store) {
    if (store.exists()) return;
    store.create();
    remember_store(store.dir());
}

std::vector<fs::path> known_stores() {
    std::vector<fs::path> stores;
    for (const auto& line : split(read_file(list_file()).value_or(""), '\n'))
        if (Store(line).exists() && std::find(stores.begin(), stores.end(), fs::path(line)) == stores.end())
            stores.emplace_back(line);
    return stores;
}

} // namespace poster
