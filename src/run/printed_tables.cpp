#include "printed_tables.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "printed_names.hpp"

namespace poster {

namespace {

using Kind = PrintedToken::Kind;

constexpr std::size_t kFewestColumns = 3;
constexpr std::size_t kMostColumns = 50;
constexpr std::size_t kMostBoxRows = 200;
constexpr std::size_t kLongestBoxRow = 200;

std::string_view trimmed(std::string_view text) {
    const auto begin = text.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

// The cells of a table, which may be drawn with bars.
std::vector<const PrintedToken*> cells_of(const std::vector<PrintedToken>& tokens) {
    std::vector<const PrintedToken*> cells;
    for (const auto& token : tokens)
        if (!token.is('|')) cells.push_back(&token);
    return cells;
}

bool is_rule(std::string_view text) {
    return text.size() >= 5 && text.find_first_not_of("-=+|") == std::string_view::npos;
}

} // namespace

bool PrintedTables::take(std::string_view text, const std::vector<PrintedToken>& tokens, PrintedLine& line) {
    const std::string_view content = trimmed(text.substr(0, 2 * kLongestBoxRow));
    if (is_rule(content)) {
        if (!box_.empty()) end_box(line);
        return true;
    }
    if (content.starts_with('|') && take_box_row(content)) return true;
    box_.clear();
    section_.clear();
    if (take_heading(tokens)) return true;
    if (columns_.empty()) return false;
    if (take_row(tokens, line)) return true;
    if (!line.values.empty() || line.epoch) columns_.clear();
    return false;
}

bool PrintedTables::take_heading(const std::vector<PrintedToken>& tokens) {
    if (tokens.size() < kFewestColumns || tokens.size() > 2 * kMostColumns) return false;
    const auto cells = cells_of(tokens);
    if (cells.size() < kFewestColumns || lower_case(cells[0]->text) != "epoch") return false;
    bool metric = false;
    for (const auto* cell : cells) {
        if (cell->kind != Kind::word || !cell->spaced) return false;
        metric |= kind_of_name(cell->text) == NameKind::measured;
    }
    if (!metric) return false;
    columns_.clear();
    for (const auto* cell : cells) columns_.emplace_back(cell->text);
    return true;
}

// Times and sizes ("00:12", "2.06G") stand in their columns and are passed over.
bool PrintedTables::take_row(const std::vector<PrintedToken>& tokens, PrintedLine& line) const {
    const auto cells = cells_of(tokens);
    if (cells.size() < columns_.size()) return false;
    const auto is_cell = [](const PrintedToken* cell) {
        return cell->spaced && (cell->kind == Kind::number || cell->kind == Kind::junk);
    };
    const bool counts = cells[0]->kind == Kind::fraction || (cells[0]->kind == Kind::number && cells[0]->value >= 0);
    if (!counts || !std::all_of(cells.begin() + 1, cells.begin() + std::ptrdiff_t(columns_.size()), is_cell))
        return false;
    line.values.clear();
    line.epoch = cells[0]->value;
    for (std::size_t i = 1; i < columns_.size(); ++i)
        if (cells[i]->kind == Kind::number && kind_of_name(columns_[i]) != NameKind::none)
            line.values.emplace_back(columns_[i], cells[i]->value);
    return true;
}

// "| train/ | |" begins a section, "|    loss | 0.3 |" is a row of it.
bool PrintedTables::take_box_row(std::string_view text) {
    if (text.size() > kLongestBoxRow || std::count(text.begin(), text.end(), '|') != 3 || text.back() != '|')
        return false;
    const std::size_t middle = text.find('|', 1);
    const std::string_view key = trimmed(text.substr(1, middle - 1));
    const std::string_view word = trimmed(text.substr(middle + 1, text.size() - middle - 2));
    if (key.ends_with('/') && word.empty()) {
        if (box_.empty()) box_progress_ = {};
        section_ = key;
        return true;
    }
    PrintedCandidate candidate;
    if (section_.empty() || key.find(' ') != std::string_view::npos || !parse_printed_number(word, candidate.value))
        return false;
    if (kind_of_name(key) == NameKind::step && candidate.value == std::floor(candidate.value)) {
        const auto step = std::int64_t(candidate.value);
        box_progress_.step = std::max(box_progress_.step.value_or(0), step); // timesteps, not iterations
        return true;
    }
    candidate.name = section_ + std::string(key);
    candidate.pointed = word.find_first_of(".e") != std::string_view::npos;
    if (box_.size() < kMostBoxRows) box_.push_back(std::move(candidate));
    return true;
}

void PrintedTables::end_box(PrintedLine& line) {
    line = std::exchange(box_progress_, {});
    accept_metrics(box_, 0, line);
    box_.clear();
    section_.clear();
}

} // namespace poster
