#pragma once
// Runs by what they were given and what they logged: --where, --sort and --columns.

#include <string>
#include <utility>
#include <vector>

#include "index.hpp"
#include "sqlite.hpp"

namespace poster {

bool asks_for_values(const RunFilter& filter);
// As the filter says. Of runs that have not ended the values are read from their directories.
std::vector<RunRow> select_by_values(const Database& database, const Store& store, const RunFilter& filter);
std::size_t count_by_values(const Database& database, const Store& store, const RunFilter& filter);
// See Index::unknown_values.
std::vector<std::pair<std::string, std::string>> unknown_names(const Database& database, const Store& store,
                                                               const std::vector<std::string>& names);

} // namespace poster
