#pragma once
// What a shell may offer for a word of the command line: from the index, quickly, and without changing a run.

#include <optional>
#include <string>
#include <vector>

namespace poster {

struct Suggestion {
    std::string word;
    std::string description{}; // one line
};

enum class Suggested { runs, tags, names, groups, metrics }; // metrics: of the latest runs

// Newest first. Nothing where there is no store, or anything is wrong with it: never throws. `begun`: what is typed.
std::vector<Suggestion> suggestions(Suggested kind, const std::string& begun, const std::optional<std::string>& store);

} // namespace poster
