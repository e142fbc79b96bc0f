#pragma once
// The stores that this user has used on this machine: ~/.local/state/poster/stores, a path a line. Only
// `ls --all-stores` reads it; losing it loses nothing else.

#include <filesystem>
#include <vector>

#include <store.hpp>

namespace poster {

void ensure_store(const Store& store);                          // makes it, and remembers it; throws Error
void remember_store(const std::filesystem::path& dir) noexcept; // absolute
std::vector<std::filesystem::path> known_stores();              // those that are still there

} // namespace poster
