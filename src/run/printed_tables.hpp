#pragma once
// Metrics in tables: a heading that begins with "epoch" above rows of numbers (fastai, skorch, ultralytics, markdown),
// and the boxes of names and values that Stable-Baselines3 draws.

#include <string>
#include <string_view>
#include <vector>

#include "printed_line.hpp"

namespace poster {

class PrintedTables {
public:
    // True where the line belongs to a table; `line` then holds what it, or the box that it ends, says.
    bool take(std::string_view text, const std::vector<PrintedToken>& tokens, PrintedLine& line);

private:
    bool take_heading(const std::vector<PrintedToken>& tokens);
    bool take_row(const std::vector<PrintedToken>& tokens, PrintedLine& line) const;
    bool take_box_row(std::string_view text);
    void end_box(PrintedLine& line);

    std::vector<std::string> columns_; // of the table that is open; empty: none
    std::string section_;              // "train/" of the box that is open
    std::vector<PrintedCandidate> box_;
    PrintedLine box_progress_;
};

} // namespace poster
