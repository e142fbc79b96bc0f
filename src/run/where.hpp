#pragma once
// The expressions of `ls --where`: `config.lr > 0.01 and metrics.loss.min < 0.3` (docs/commands/ls.md has the grammar),
// and of a messenger's `when`: `val_loss > 10`.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "value.hpp"

namespace poster {

// What the expression asks of a run, by name: a column or a value. A list where the column is one; nothing: it has
// none.
using Lookup = std::function<std::vector<Value>(const std::string& name)>;

// What its names are. of_run: a run's columns and values. metrics: any word that is no literal is the name of a metric;
// one that is NaN is the text "nan".
enum class Vocabulary { of_run, metrics };

class Where {
public:
    // Throws UsageError that shows the place.
    static Where parse(std::string_view text, Vocabulary vocabulary = Vocabulary::of_run);

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
