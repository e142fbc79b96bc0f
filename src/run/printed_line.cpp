#include "printed_line.hpp"

#include <algorithm>
#include <cmath>

#include "printed_dictionary.hpp"
#include "printed_names.hpp"

namespace poster {

namespace {

using Kind = PrintedToken::Kind;
using Form = PrintedCandidate::Form;

constexpr std::size_t kMostCandidates = 200;
constexpr std::size_t kLongestBarName = 60;
constexpr int kManySettings = 3; // this many words for values make a print of settings
constexpr double kLargestStep = 1e15;

bool is_count(const PrintedToken& token) {
    return token.kind == Kind::number && token.integral && !token.percent && token.value >= 0 &&
           token.value < kLargestStep;
}

// "it 3", "steps 100"
bool may_be_prose(std::string_view name) {
    return name == "it" || name == "update" || name == "steps" || name == "iterations" || name == "timesteps";
}

// What stands before a counter, up to the bar itself, without numbers and blanks.
std::string name_of_bar(std::string_view before) {
    std::string name;
    for (const char c : before.substr(0, kLongestBarName)) {
        if (c == '|' || static_cast<unsigned char>(c) >= 0x80) break;
        if ((c < '0' || c > '9') && std::string_view(" \t.%").find(c) == std::string_view::npos) name += c;
    }
    return name;
}

class LineReader {
public:
    LineReader(std::string_view text, const std::vector<PrintedToken>& tokens,
               std::vector<PrintedCandidate>& candidates, PrintedLine& line)
        : text_(text), tokens_(tokens), candidates_(candidates), line_(line) {}

    // The number of names that had a word for a value.
    int read() {
        read_leading_step();
        while (at_ < tokens_.size()) {
            const PrintedToken& token = tokens_[at_];
            const bool taken = token.kind == Kind::word       ? take_word(token)
                               : token.kind == Kind::fraction ? take_bar()
                                                              : false;
            if (!taken) ++at_;
        }
        if (!line_.step && !line_.counter) line_.step = episode_;
        return words_;
    }

private:
    const PrintedToken* token(std::size_t i) const { return i < tokens_.size() ? &tokens_[i] : nullptr; }
    bool is_sign(std::size_t i, char sign) const { return i < tokens_.size() && tokens_[i].is(sign); }
    bool is_foreign(std::size_t i) const {
        return i < tokens_.size() && tokens_[i].kind == Kind::sign &&
               static_cast<unsigned char>(tokens_[i].text.front()) >= 0x80;
    }
    bool is_kind(std::size_t i, Kind kind) const { return i < tokens_.size() && tokens_[i].kind == kind; }
    bool is_gap(std::size_t i) const { return i >= tokens_.size() || tokens_[i].gap; }

    // "[12]\tvalid-auc:0.9" of XGBoost, "12:\tlearn: 0.6" of CatBoost.
    void read_leading_step() {
        const bool bracketed = is_sign(0, '[') && token(1) && is_count(tokens_[1]) && is_sign(2, ']');
        const bool colon = token(0) && is_count(tokens_[0]) && is_sign(1, ':');
        const std::size_t next = bracketed ? 3 : 2;
        if ((!bracketed && !colon) || next >= tokens_.size()) return;
        const char before = text_[std::size_t(tokens_[next].text.data() - text_.data()) - 1];
        if (before != '\t') return;
        line_.step = std::int64_t(tokens_[bracketed ? 1 : 0].value);
        at_ = used_ = next;
    }

    bool take_word(const PrintedToken& word) {
        if (may_have_value(at_ + 1)) {
            const NameKind kind = word.begins ? kind_of_name(word.text) : NameKind::none;
            if (kind == NameKind::epoch && take_epoch()) return true;
            if (kind == NameKind::step && take_step()) return true;
            if (take_pair(word, kind)) return true;
        }
        if (const auto split = split_of_word(word.text); !split.empty()) split_ = split;
        return false;
    }

    bool may_have_value(std::size_t i) const {
        const PrintedToken* next = token(i);
        if (next == nullptr) return false;
        if (next->kind == Kind::word) return next->text == "is" || next->text == "of";
        return next->kind != Kind::sign || std::string_view(":=([#").find(next->text) != std::string_view::npos;
    }

    // Behind "epoch" or "step": an optional (train), : = or #, an optional [. Then a number stands at the result.
    std::size_t skip_to_count(std::size_t i, bool& separated) {
        if (is_sign(i, '(') && is_kind(i + 1, Kind::word) && is_sign(i + 2, ')')) {
            if (const auto split = split_of_word(tokens_[i + 1].text); !split.empty()) split_ = split;
            i += 3;
        }
        if (is_sign(i, ':') || is_sign(i, '=') || is_sign(i, '#')) {
            separated = true;
            ++i;
        }
        if (is_sign(i, '[')) {
            separated = true;
            ++i;
        }
        return i;
    }

    bool take_epoch() {
        bool separated = false;
        std::size_t i = skip_to_count(at_ + 1, separated);
        const PrintedToken* number = token(i);
        const bool right = number && number->value >= 0 && std::isfinite(number->value) && !number->percent &&
                           (number->kind == Kind::number || (number->kind == Kind::fraction && number->total > 0));
        if (!right) return false;
        if (!line_.epoch) line_.epoch = number->value;
        ++i;
        if (is_sign(i, '/') && token(i + 1) && is_count(tokens_[i + 1])) i += 2; // "3 / 10"
        if (is_sign(i, ']')) ++i;
        if (is_sign(i, '[') && is_kind(i + 1, Kind::fraction) && tokens_[i + 1].total > 0) {
            count(i + 1);
            i += 2;
        }
        at_ = used_ = i;
        return true;
    }

    bool take_step() {
        const std::string name = lower_case(tokens_[at_].text);
        bool separated = false;
        std::size_t i = skip_to_count(at_ + 1, separated);
        if (!separated && may_be_prose(name)) return false;
        if (is_kind(i, Kind::fraction) && tokens_[i].total > 0) {
            count(i);
        } else if (token(i) && is_count(tokens_[i])) {
            if (is_sign(i + 1, '/') && token(i + 2) && is_count(tokens_[i + 2])) { // "40 / 100"
                if (!line_.counter)
                    line_.counter = PrintedCounter{tokens_[i].value, tokens_[i + 2].value, false, "step"};
                i += 2;
            } else if (auto& step = name == "episode" ? episode_ : line_.step; !step) {
                step = std::int64_t(tokens_[i].value);
            }
        } else {
            return false;
        }
        at_ = used_ = i + 1;
        return true;
    }

    void count(std::size_t i) {
        if (line_.counter) return;
        const auto before = std::size_t(tokens_[i].text.data() - text_.data());
        line_.counter = PrintedCounter{tokens_[i].value, tokens_[i].total, !split_.empty() && split_ != "train",
                                       name_of_bar(text_.substr(0, before))};
    }

    // 10/100 [===>…] of Keras, |███  | 10/100 [00:01<…] of tqdm, ━━━ 10/100 0:00:01 of rich; [10/100] beside an epoch.
    bool take_bar() {
        const std::size_t i = at_;
        const bool leads = i == 0 && (is_sign(1, '#') || is_sign(1, '-') || is_foreign(1));
        const bool behind_bar = i > 0 && (is_sign(i - 1, '|') || is_foreign(i - 1) || is_sign(i - 1, '#'));
        const bool unknown_total = tokens_[i].total == 0 && is_sign(i + 1, '[');
        const bool bracketed = i > 0 && is_sign(i - 1, '[') && line_.epoch && tokens_[i].total > 0;
        if (!leads && !behind_bar && !unknown_total && !bracketed) return false;
        count(i);
        at_ = used_ = i + 1;
        return true;
    }

    // Where the number of a name stands: behind : or =, "is" or "of", or beside it.
    std::size_t find_value(std::size_t name, Form& form) const {
        std::size_t i = name + 1;
        if (is_sign(i, ':') || is_sign(i, '=')) return i + 1;
        if (is_kind(i, Kind::word) && (tokens_[i].text == "is" || tokens_[i].text == "of")) ++i;
        form = Form::beside;
        return i;
    }

    bool take_pair(const PrintedToken& word, NameKind kind) {
        Form form = Form::separated;
        const std::size_t i = find_value(at_, form);
        if (form == Form::separated && is_kind(i, Kind::word) && split_of_word(word.text).empty()) ++words_;
        PrintedCandidate candidate;
        if (!read_value(i, word, form, candidate)) return false;
        const std::size_t begin = at_;
        at_ = i + 1;
        if (!word.begins || kind == NameKind::none || candidates_.size() >= kMostCandidates) {
            used_ = at_;
            return true;
        }
        if (!judge_behind(at_, candidate)) return true;
        if (form == Form::beside && !tokens_[i].spaced) return true;
        if (form == Form::separated && tokens_[i - 1].text == ":" && !tokens_[i].spaced && kind == NameKind::open)
            candidate.loose = true;
        candidate.form = form;
        name_candidate(begin, kind, candidate);
        used_ = at_;
        candidates_.push_back(std::move(candidate));
        return true;
    }

    bool read_value(std::size_t i, const PrintedToken& word, Form form, PrintedCandidate& candidate) const {
        if (is_kind(i, Kind::number)) {
            candidate.value = tokens_[i].value;
            candidate.pointed = !tokens_[i].integral || tokens_[i].percent;
            return true;
        }
        // "Accuracy: 9908/10000 (99%)"
        if (form == Form::beside || !is_kind(i, Kind::fraction) || tokens_[i].total <= 0) return false;
        if (lower_case(word.text).find("acc") == std::string::npos || tokens_[i].value > tokens_[i].total) return false;
        candidate.value = tokens_[i].value / tokens_[i].total;
        candidate.pointed = true;
        return true;
    }

    // What stands behind a value: false where it shows that this is none ("3 files", "0.3 / 0.4", "0.3 0.4").
    bool judge_behind(std::size_t i, PrintedCandidate& candidate) const {
        if (is_sign(i, '/') || is_sign(i, '=')) return false;
        if (i >= tokens_.size() || tokens_[i].gap) return true;
        if (is_kind(i, Kind::number)) return false;
        if (!is_kind(i, Kind::word)) return true;
        if (begins_pair(i)) return true;
        candidate.loose = true;
        return connects(tokens_[i].text);
    }

    // A name, with the words that belong to it, and its value.
    bool begins_pair(std::size_t i) const {
        while (is_kind(i, Kind::word) && is_kind(i + 1, Kind::word) &&
               (modifies_name(tokens_[i].text) || !split_of_word(tokens_[i].text).empty()))
            ++i;
        if (!is_kind(i, Kind::word)) return false;
        return is_sign(i + 1, ':') || is_sign(i + 1, '=') || (is_kind(i + 1, Kind::number) && tokens_[i + 1].spaced);
    }

    // "Average loss" is Average_loss; behind "Test set:" it is test_Average_loss.
    void name_candidate(std::size_t at, NameKind kind, PrintedCandidate& candidate) {
        std::string name(tokens_[at].text);
        std::size_t i = at;
        while (i > used_ && is_kind(i - 1, Kind::word) && !tokens_[i].gap && at - i < 4) {
            const std::string_view before = tokens_[i - 1].text;
            if (const auto split = split_of_word(before); !split.empty())
                split_ = split;
            else if (before.ends_with("'s")) // "valid_0's auc" of LightGBM
                name.insert(0, std::string(before.substr(0, before.size() - 2)) + '_');
            else if (modifies_name(before))
                name.insert(0, std::string(before) + '_');
            else
                break;
            --i;
        }
        if (candidate.form == Form::beside && separates(i, true) && separates(at_, false)) candidate.form = Form::alone;
        const bool metric = kind == NameKind::measured || kind == NameKind::likely;
        if (metric && !split_.empty() && !names_split(name)) name.insert(0, std::string(split_) + '_');
        candidate.name = std::move(name);
    }

    // Between the pair and its neighbour stands a separator.
    bool separates(std::size_t i, bool before) const {
        if (before ? i == 0 || tokens_[i].gap : is_gap(i)) return true;
        const std::size_t neighbour = before ? i - 1 : i;
        if (tokens_[neighbour].kind != Kind::sign) return false;
        return !is_sign(neighbour, ':') && !is_sign(neighbour, '=');
    }

    std::string_view text_;
    const std::vector<PrintedToken>& tokens_;
    std::vector<PrintedCandidate>& candidates_;
    PrintedLine& line_;
    std::size_t at_ = 0;
    std::size_t used_ = 0; // the tokens before belong to something else
    std::string_view split_;
    std::optional<std::int64_t> episode_; // the step, where no other is told
    int words_ = 0;
};

// A metric wherever it stands.
bool is_evident(const PrintedCandidate& candidate, NameKind kind) {
    const bool pointed = candidate.pointed || !std::isfinite(candidate.value);
    if (kind == NameKind::likely) return pointed && candidate.form != Form::beside;
    if (kind != NameKind::measured) return false;
    return pointed || (candidate.form == Form::separated && !candidate.loose);
}

bool is_metric(const PrintedCandidate& candidate, NameKind kind, bool beside_metric, bool progress) {
    if (kind == NameKind::none || kind == NameKind::step || kind == NameKind::epoch) return false;
    if (is_evident(candidate, kind)) return true;
    if (candidate.loose || candidate.form == Form::beside) return false;
    if (beside_metric) return true;
    return progress && candidate.form == Form::separated && candidate.pointed && std::isfinite(candidate.value);
}

// Most lines of most programs are text.
bool may_tell_anything(std::string_view text) {
    if (std::any_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; })) return true;
    for (std::string_view word : {"nan", "NaN", "inf", "poch"}) // "epoch" begins the heading of a table
        if (text.find(word) != std::string_view::npos) return true;
    return false;
}

// Lines that tell of a metric's past.
bool tells_history(std::string_view text) {
    return text.find("improve") != std::string_view::npos || text.find("Namespace(") != std::string_view::npos;
}

} // namespace

void accept_metrics(std::vector<PrintedCandidate>& candidates, int words, PrintedLine& line) {
    if (words >= kManySettings && !line.progress()) return;
    const bool any = std::any_of(candidates.begin(), candidates.end(), [](const auto& candidate) {
        return is_evident(candidate, kind_of_name(candidate.name));
    });
    for (auto& candidate : candidates) {
        if (!is_metric(candidate, kind_of_name(candidate.name), any, line.progress())) continue;
        const bool known = std::any_of(line.values.begin(), line.values.end(),
                                       [&](const auto& value) { return value.first == candidate.name; });
        if (!known) line.values.emplace_back(std::move(candidate.name), candidate.value);
    }
}

PrintedLine& PrintedLineReader::read(std::string_view text) {
    line_ = {};
    candidates_.clear();
    tokens_.clear();
    if (!may_tell_anything(text)) return line_;
    const std::size_t object = find_dictionary(text);
    int words = 0;
    split_printed(text.substr(0, object), tokens_);
    words = LineReader(text, tokens_, candidates_, line_).read();
    if (object != std::string_view::npos) {
        candidates_.clear();
        words = 0;
        if (!read_dictionary(text.substr(object), candidates_, words, line_)) candidates_.clear();
    }
    if (!candidates_.empty() && !tells_history(text)) accept_metrics(candidates_, words, line_);
    return line_;
}

} // namespace poster
