#pragma once
// The expressions of `ls --where`: `config.lr > 0.01 and metrics.loss.min < 0.3` (docs/commands/ls.md has the grammar).

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "run_values.hpp"

namespace poster {

// What the expression asks of a run, by name: a column or a value. A list where the column is one; nothing: it has
// none.
using Lookup = std::function<std::vector<Value>(const std::string& name)>;

class Where {
public:
    // Throws UsageError that shows the place.
    static Where parse(std::string_view text);

    bool holds(const Lookup& lookup) const;
    std::vector<std::string> names() const; // that it asks for, each once

    struct Node;

private:
    std::shared_ptr<const Node> root_;
};

// The columns of a run that an expression may name, besides config.…, metrics.… and summary.….
const std::vector<std::string>& where_columns();
bool is_value_name(std::string_view name); // config.…, metrics.… or summary.…
// A column or a value name. Throws UsageError "PLACE: …" with a suggestion.
void check_where_name(const std::string& place, const std::string& name);

} // namespace poster
