#pragma once
// Which printed names are metrics. A closed list decides where a line gives no other sign that it reports on a
// training.

#include <string>
#include <string_view>

namespace poster {

enum class NameKind {
    none,     // no name, or one whose numbers are no metrics: times, rates, sizes, counters, identifiers
    step,     // step, iter, global_step …
    epoch,    // epoch
    measured, // loss, accuracy, val_auc …: a metric wherever it stands
    likely,   // error, score, precision …: a metric where its value has a point
    open,     // any other: a metric beside one of the above
};

NameKind kind_of_name(std::string_view name);

// "train", "val", "test" or "eval" for the words that name a split of the data (training, Validation …); else empty.
std::string_view split_of_word(std::string_view word);
// Words that belong to the name behind them: "average loss", "top accuracy"; not the splits.
bool modifies_name(std::string_view word);
// The name tells its split itself: val_loss, loss/train.
bool names_split(std::string_view name);
// May stand behind a value without being its unit: "0.3 at step 40".
bool connects(std::string_view word);

std::string lower_case(std::string_view text);

} // namespace poster
