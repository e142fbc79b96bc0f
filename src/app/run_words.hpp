#pragma once
// Words that name runs first and then something of theirs, such as metrics: `poster plot baseline last loss`.

#include <optional>
#include <string>
#include <vector>

#include "reading.hpp"

namespace poster {

struct RunWords {
    std::vector<RunRow> runs; // the last run, where none is named
    std::vector<std::string> rest;
};

// At most `most` of the leading words are runs. A word that is only the beginning or the end of an id, and the name of
// a metric of the last run as well, is the metric.
RunWords split_run_words(const Reading& reading, const std::vector<std::string>& words, std::size_t most);

// Throws UsageError "run … has no metric 'los'", with the nearest one or all of `names` for help; Error where it has
// none.
[[noreturn]] void refuse_metric(const std::string& run, const std::string& word, const std::vector<std::string>& names);

} // namespace poster
