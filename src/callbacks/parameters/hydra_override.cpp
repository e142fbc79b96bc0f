#include "hydra_override.hpp"

#include <algorithm>
#include <array>
#include <ranges>

#include <characters.hpp>

namespace poster {

namespace {

using std::string_view;
using Words = std::vector<std::string>;
using Kind = HydraOverride::Kind;

// ---- the grammar of keys

bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool is_identifier(string_view word, bool with_dollar) {
    const auto starts = [&](char c) { return is_letter(c) || (with_dollar && c == '$'); };
    return !word.empty() && starts(word.front()) &&
           std::all_of(word.begin(), word.end(), [&](char c) { return starts(c) || is_digit(c) || c == '-'; });
}

bool is_index(string_view word) { // 0, 10, 1_000
    if (word.empty() || !is_digit(word.front()) || !is_digit(word.back())) return false;
    if (word.front() == '0') return word.size() == 1;
    for (std::size_t i = 1; i < word.size(); ++i)
        if (!is_digit(word[i]) && (word[i] != '_' || word[i - 1] == '_')) return false;
    return true;
}

std::vector<string_view> parts_of(string_view text, char separator) {
    std::vector<string_view> parts;
    for (std::size_t begin = 0;;) {
        const std::size_t end = text.find(separator, begin);
        parts.push_back(text.substr(begin, end - begin));
        if (end == string_view::npos) return parts;
        begin = end + 1;
    }
}

bool is_package(string_view word) {
    if (word.empty()) return true;
    const auto parts = parts_of(word, '.');
    if (parts.size() == 1) return is_identifier(word, true);
    return std::all_of(parts.begin(), parts.end(),
                       [](string_view part) { return is_identifier(part, true) || is_index(part); });
}

bool is_package_or_group(string_view word) {
    if (word.find('/') == string_view::npos) return is_package(word);
    const auto parts = parts_of(word, '/');
    return std::all_of(parts.begin(), parts.end(), [](string_view part) { return is_identifier(part, false); });
}

// ---- Hydra's own options

enum class Takes { nothing, value, optional_value };

struct HydraOption {
    string_view name, brief;
    Takes takes = Takes::nothing;
    bool runs_nothing = false;
};

constexpr std::array kOptions{
    HydraOption{"--help", "-h", Takes::nothing, true},
    HydraOption{"--hydra-help", "", Takes::nothing, true},
    HydraOption{"--version", "", Takes::nothing, true},
    HydraOption{"--cfg", "-c", Takes::value, true},
    HydraOption{"--resolve", ""},
    HydraOption{"--package", "-p", Takes::value},
    HydraOption{"--run", "-r"},
    HydraOption{"--multirun", "-m"},
    HydraOption{"--shell-completion", "-sc", Takes::nothing, true},
    HydraOption{"--config-path", "-cp", Takes::value},
    HydraOption{"--config-name", "-cn", Takes::value},
    HydraOption{"--config-dir", "-cd", Takes::value},
    HydraOption{"--experimental-rerun", "", Takes::value},
    HydraOption{"--info", "-i", Takes::optional_value, true},
};

struct FoundOption {
    const HydraOption* option = nullptr;
    bool has_value = false; // in the same word
};

// As argparse finds it: by its whole name, else by a beginning that only one long option has.
FoundOption find_hydra_option(string_view word) {
    const string_view name = word.substr(0, word.find('='));
    const bool assigned = name.size() < word.size();
    for (const auto& option : kOptions)
        if (name == option.name || name == option.brief) return {&option, assigned};
    if (!name.starts_with("--")) {
        for (const auto& option : kOptions) // -cjob
            if (option.brief.size() == 2 && word.starts_with(option.brief) && option.takes != Takes::nothing)
                return {&option, true};
        return {};
    }
    const HydraOption* found = nullptr;
    for (const auto& option : kOptions) {
        if (!option.name.starts_with(name)) continue;
        if (found != nullptr) return {};
        found = &option;
    }
    return {found, assigned};
}

bool is_option(string_view word) {
    return word.size() > 1 && word.front() == '-' && word.find(' ') == string_view::npos;
}

std::size_t option_length(const Words& words, std::size_t at, const FoundOption& found) {
    const bool follows = found.option != nullptr && !found.has_value && at + 1 < words.size();
    if (!follows || found.option->takes == Takes::nothing) return 1;
    return found.option->takes == Takes::value || !is_option(words[at + 1]) ? 2 : 1;
}

// ---- merging

std::string with_kind(Kind kind, const HydraOverride& override) {
    const char* prefix = kind == Kind::add ? "+" : kind == Kind::force_add ? "++" : kind == Kind::remove ? "~" : "";
    return prefix + override.key() + (override.value ? "=" + *override.value : "");
}

class Merger {
public:
    Merger(Words argv, std::size_t first_own) : first_own_(std::min(first_own, argv.size())), argv_(std::move(argv)) {}

    void add(const Words& extra) {
        bool only_overrides = false;
        for (std::size_t i = 0; i < extra.size();) {
            if (extra[i] == "--" && !only_overrides) {
                only_overrides = true;
                ++i;
            } else if (!only_overrides && is_option(extra[i])) {
                const FoundOption found = find_hydra_option(extra[i]);
                const std::size_t length = option_length(extra, i, found);
                put_option(found.option,
                           {extra.begin() + std::ptrdiff_t(i), extra.begin() + std::ptrdiff_t(i + length)});
                i += length;
            } else {
                put_word(extra[i++]);
            }
        }
    }
    Words take() { return std::move(argv_); }

private:
    Words own_words() const { return {argv_.begin() + std::ptrdiff_t(first_own_), argv_.end()}; }

    void insert(std::size_t at, const Words& words) {
        argv_.insert(argv_.begin() + std::ptrdiff_t(at), words.begin(), words.end());
    }

    // Behind the overrides that are there.
    void append(const std::string& word) {
        const HydraWords now = read_hydra_words(own_words());
        insert(first_own_ + (now.overrides.empty() ? now.insert_at : now.overrides.back() + 1), {word});
    }

    void put_option(const HydraOption* option, const Words& words) {
        if (option == nullptr) { // not Hydra's: it will say so
            argv_.insert(argv_.end(), words.begin(), words.end());
            return;
        }
        for (std::size_t i = first_own_; i < argv_.size() && argv_[i] != "--";) {
            const FoundOption found = is_option(argv_[i]) ? find_hydra_option(argv_[i]) : FoundOption{};
            const std::size_t length = option_length(argv_, i, found);
            if (found.option == option) {
                argv_.erase(argv_.begin() + std::ptrdiff_t(i), argv_.begin() + std::ptrdiff_t(i + length));
                return insert(i, words);
            }
            i += length;
        }
        insert(first_own_, words);
    }

    struct Older {
        std::size_t at; // in argv_
        HydraOverride override;
    };
    std::vector<Older> older_of(const std::string& key) const {
        std::vector<Older> older;
        for (std::size_t i : read_hydra_words(own_words()).overrides)
            if (auto parsed = parse_hydra_override(argv_[first_own_ + i]); parsed && parsed->key() == key)
                older.push_back({first_own_ + i, *parsed});
        return older;
    }

    void put_word(const std::string& word) {
        const auto parsed = parse_hydra_override(word);
        if (!parsed) return append(word);
        const auto older = older_of(parsed->key());
        if (older.empty()) return append(word);
        if (parsed->kind == Kind::remove) return put_removal(word, *parsed, older);
        const Older& last = older.back();
        // Hydra merges dictionaries: the older one still counts.
        if (last.override.value && last.override.value->starts_with("{")) return append(word);
        const bool was_added = last.override.kind == Kind::add || last.override.kind == Kind::force_add;
        if (parsed->kind == Kind::add && last.override.kind == Kind::remove) return append(word);
        // What the configuration does not hold by itself is still to be added.
        const bool keeps_kind = was_added && parsed->kind != Kind::force_add;
        argv_[last.at] = keeps_kind ? with_kind(last.override.kind, *parsed) : word;
    }

    void put_removal(const std::string& word, const HydraOverride& removal, const std::vector<Older>& older) {
        const HydraOverride& last = older.back().override;
        const Kind first = older.front().override.kind;
        const bool other_value = removal.value && removal.value != last.value; // Hydra compares it, and refuses
        // A value that was added may stand in the configuration all the same, as null; a choice cannot.
        const bool is_choice = removal.path.find('/') != std::string::npos || !removal.package.empty();
        const bool unknown = first == Kind::force_add || (first == Kind::add && !is_choice);
        if (unknown || other_value) return append(word);
        for (const auto& it : older | std::views::reverse) argv_.erase(argv_.begin() + std::ptrdiff_t(it.at));
        if (first == Kind::add) return;
        insert(older.front().at, {with_kind(Kind::remove, {Kind::remove, removal.path, removal.package, {}})});
    }

    std::size_t first_own_;
    Words argv_;
};

} // namespace

std::optional<HydraOverride> parse_hydra_override(string_view word) {
    HydraOverride found;
    if (word.starts_with("~")) {
        found.kind = Kind::remove;
        word.remove_prefix(1);
    } else if (word.starts_with("+")) {
        found.kind = word.starts_with("++") ? Kind::force_add : Kind::add;
        word.remove_prefix(found.kind == Kind::force_add ? 2 : 1);
    }
    const std::size_t equals = word.find('=');
    if (equals == string_view::npos && found.kind != Kind::remove) return std::nullopt;
    const string_view key = word.substr(0, equals);
    const std::size_t at = key.find('@');
    const string_view path = key.substr(0, at);
    const string_view package = at == string_view::npos ? string_view{} : key.substr(at + 1);
    if (!is_package_or_group(path) || !is_package(package)) return std::nullopt;
    found.path = path;
    found.package = package;
    if (equals != string_view::npos) {
        string_view value = word.substr(equals + 1);
        while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
        found.value = value;
    }
    return found;
}

HydraWords read_hydra_words(const Words& words) {
    HydraWords found;
    for (std::size_t i = 0; i < words.size();) {
        if (words[i] == "--") { // the rest are overrides, whatever they look like
            for (++i; i < words.size(); ++i) found.overrides.push_back(i);
            break;
        }
        if (!is_option(words[i])) {
            found.overrides.push_back(i++);
            continue;
        }
        const FoundOption option = find_hydra_option(words[i]);
        if (option.option != nullptr) {
            found.runs_nothing |= option.option->runs_nothing;
            found.is_multirun |= option.option->name == "--multirun";
        }
        i += option_length(words, i, option);
    }
    if (!found.overrides.empty()) found.insert_at = found.overrides.front();
    return found;
}

Words merge_hydra_words(Words argv, std::size_t first_own, const Words& extra) {
    Merger merger(std::move(argv), first_own);
    merger.add(extra);
    return merger.take();
}

} // namespace poster
