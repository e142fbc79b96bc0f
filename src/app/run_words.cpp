#include "run_words.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <error.hpp>
#include <text.hpp>

#include "series.hpp"
#include "table.hpp"

namespace poster {

namespace {

constexpr std::size_t kNamesShown = 20;

std::optional<RunRow> run_of(const Reading& reading, const std::string& word) {
    try {
        return reading.index->find(word);
    } catch (const UsageError&) {
        return std::nullopt;
    }
}

bool names_it(const RunRow& row, const std::string& word) {
    return row.id == word || row.name == word || word == "last" || word.starts_with("last~");
}

bool is_metric_of_last_run(const Reading& reading, const std::string& word) {
    const auto last = run_of(reading, "last");
    if (!last) return false;
    const auto names = some_metric_names(reading.workspace.store.run_dir(last->id));
    return std::binary_search(names.begin(), names.end(), word);
}

} // namespace

RunWords split_run_words(const Reading& reading, const std::vector<std::string>& words, std::size_t most) {
    RunWords found;
    std::size_t taken = 0;
    for (; taken < std::min(most, words.size()); ++taken) {
        const auto run = run_of(reading, words[taken]);
        if (!run || (!names_it(*run, words[taken]) && is_metric_of_last_run(reading, words[taken]))) break;
        const bool again =
            std::any_of(found.runs.begin(), found.runs.end(), [&](const RunRow& it) { return it.id == run->id; });
        if (!again) found.runs.push_back(*run);
    }
    found.rest.assign(words.begin() + std::ptrdiff_t(taken), words.end());
    if (found.runs.empty()) found.runs.push_back(reading.index->find("last"));
    return found;
}

void refuse_metric(const std::string& run, const std::string& word, const std::vector<std::string>& names) {
    if (names.empty()) throw Error(fmt::format("run {} has logged no metrics", run));
    std::string help;
    if (const std::string near = closest(word, names); !near.empty()) {
        help = fmt::format("did you mean '{}'?", printable(near));
    } else {
        const std::size_t shown = std::min(names.size(), kNamesShown);
        for (std::size_t i = 0; i < shown; ++i) help += (i > 0 ? ", " : "it has: ") + printable(names[i]);
        if (names.size() > shown) help += fmt::format(" … {} in all", names.size());
    }
    throw UsageError(fmt::format("run {} has no metric '{}'", run, printable(word)), help);
}

} // namespace poster
