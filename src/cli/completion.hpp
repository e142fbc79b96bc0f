#pragma once
// Completion: the shells' scripts are small and ask `poster complete`, which knows the command table. What a word takes
// is told by how the table calls it: RUN, TAG, STATUS, DIR, FILE …

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <suggest.hpp>

namespace poster {

std::string completion_script(std::string_view shell); // bash, zsh or fish; throws UsageError

struct Completions {
    std::vector<Suggestion> words;
    bool files = false, directories = false; // the shell's own as well
    std::size_t command_at = 0;              // from this word on (0: poster itself) it is a command of its own
};

using Source = std::function<std::vector<Suggestion>(Suggested kind, const std::string& begun,
                                                     const std::optional<std::string>& store)>;

// `words`: without the program's name; the last one is being typed.
Completions complete(const std::vector<std::string>& words, const Source& source);
// A line "WORD<tab>DESCRIPTION" each, and ":files", ":directories" or ":command N".
std::string printed(const Completions& completions);

} // namespace poster
