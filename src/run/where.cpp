#include "where.hpp"

#include <fnmatch.h>
#include <regex.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include <clock.hpp>
#include <error.hpp>
#include <poster/run.hpp>
#include <text.hpp>
#include <when.hpp>

namespace poster {

namespace {

constexpr int kDeepest = 200; // parentheses within one another

enum class Operator { equal, unequal, less, at_most, greater, at_least, like, matches, among };

// A regular expression, compiled once.
class Pattern {
public:
    explicit Pattern(const std::string& text)
        : sound_(::regcomp(&pattern_, text.c_str(), REG_EXTENDED | REG_NOSUB) == 0) {}
    Pattern(const Pattern&) = delete;
    Pattern& operator=(const Pattern&) = delete;
    ~Pattern() {
        if (sound_) ::regfree(&pattern_);
    }
    bool sound() const { return sound_; }
    bool found_in(const std::string& text) const { return ::regexec(&pattern_, text.c_str(), 0, nullptr, 0) == 0; }

private:
    regex_t pattern_{};
    bool sound_;
};

// A name, or a literal with how it is spelled: `config.version = 1.10` is the text "1.10" too.
struct Operand {
    std::string name;
    Value literal;
    std::string spelling;
    std::shared_ptr<const Pattern> pattern;
    std::size_t at = 0; // where it stands in the expression

    bool is_null() const { return name.empty() && std::holds_alternative<std::monostate>(literal); }
};

struct Term {
    const Value& value;
    const std::string& spelling; // empty: of a run
};

// ---- what a comparison says

std::optional<double> number_in_text(std::string_view text) {
    double number = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
    return failure == std::errc{} && end == text.data() + text.size() ? std::optional(number) : std::nullopt;
}

std::optional<double> number_of(const Value& value) {
    if (const auto* number = std::get_if<double>(&value)) return *number;
    if (const auto* flag = std::get_if<bool>(&value)) return *flag ? 1 : 0;
    if (const auto* text = std::get_if<std::string>(&value)) return number_in_text(*text);
    return std::nullopt;
}

bool equal(const Term& a, const Term& b) {
    const auto* text = std::get_if<std::string>(&a.value);
    const auto* other = std::get_if<std::string>(&b.value);
    if (text && other) return *text == *other;
    if (text && *text == b.spelling) return true;
    if (other && *other == a.spelling) return true;
    const auto x = number_of(a.value), y = number_of(b.value);
    return x && y && *x == *y;
}

template <typename Order>
bool ordered(const Term& a, const Term& b, Order order) {
    const auto* text = std::get_if<std::string>(&a.value);
    const auto* other = std::get_if<std::string>(&b.value);
    if (text && other) return order(text->compare(*other), 0);
    const auto x = number_of(a.value), y = number_of(b.value);
    return x && y && order(*x, *y);
}

bool compare(const Term& a, Operator by, const Term& b, const Pattern* pattern) {
    if (std::holds_alternative<std::monostate>(a.value) || std::holds_alternative<std::monostate>(b.value))
        return false;
    switch (by) {
    case Operator::equal:
    case Operator::among: return equal(a, b);
    case Operator::unequal: return !equal(a, b);
    case Operator::less: return ordered(a, b, std::less<>());
    case Operator::at_most: return ordered(a, b, std::less_equal<>());
    case Operator::greater: return ordered(a, b, std::greater<>());
    case Operator::at_least: return ordered(a, b, std::greater_equal<>());
    case Operator::like: return ::fnmatch(b.spelling.c_str(), text_of(a.value).c_str(), 0) == 0;
    case Operator::matches: return pattern != nullptr && pattern->found_in(text_of(a.value));
    }
    return false;
}

bool is_true(const Value& value) {
    if (const auto* text = std::get_if<std::string>(&value)) return !text->empty();
    const auto number = number_of(value);
    return number && *number != 0;
}

std::vector<Value> values_for(const Operand& operand, const Lookup& lookup) {
    return operand.name.empty() ? std::vector{operand.literal} : lookup(operand.name);
}

} // namespace

struct Where::Node {
    enum class Kind { all, any, none, comparison, truth } kind = Kind::truth; // none: of one
    std::vector<std::shared_ptr<const Node>> parts{};
    Operand left{};
    Operator by = Operator::equal;
    std::vector<Operand> right{};

    bool holds(const Lookup& lookup) const {
        const auto part_holds = [&](const auto& part) { return part->holds(lookup); };
        switch (kind) {
        case Kind::all: return std::all_of(parts.begin(), parts.end(), part_holds);
        case Kind::any: return std::any_of(parts.begin(), parts.end(), part_holds);
        case Kind::none: return std::none_of(parts.begin(), parts.end(), part_holds);
        case Kind::truth: {
            const auto values = lookup(left.name);
            return std::any_of(values.begin(), values.end(), is_true);
        }
        case Kind::comparison: return comparison_holds(lookup);
        }
        return false;
    }

    bool comparison_holds(const Lookup& lookup) const {
        const auto lefts = values_for(left, lookup);
        const auto is_null = [](const Value& value) { return std::holds_alternative<std::monostate>(value); };
        const bool nothing = std::all_of(lefts.begin(), lefts.end(), is_null);
        if (left.name == "tags" && by == Operator::unequal && !right.front().is_null()) {
            Node same = *this;
            same.by = Operator::equal;
            return !same.comparison_holds(lookup);
        }
        for (const auto& operand : right) {
            if (operand.is_null()) {
                if (nothing == (by != Operator::unequal)) return true;
                continue;
            }
            for (const auto& b : values_for(operand, lookup))
                for (const auto& a : lefts)
                    if (compare({a, left.spelling}, by, {b, operand.spelling}, operand.pattern.get())) return true;
        }
        return false;
    }

    void add_names(std::vector<std::string>& names) const {
        const auto add = [&](const Operand& operand) {
            if (!operand.name.empty() && std::find(names.begin(), names.end(), operand.name) == names.end())
                names.push_back(operand.name);
        };
        add(left);
        for (const auto& operand : right) add(operand);
        for (const auto& part : parts) part->add_names(names);
    }
};

namespace {

using Node = Where::Node;
using NodePointer = std::shared_ptr<const Node>;

// ---- words

struct Token {
    enum class Kind { word, quoted, sign, end } kind = Kind::end;
    std::string text; // of a quoted one, what is within
    std::size_t at = 0;
};

bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool is_sign(char c) {
    return std::string_view("()!,<>=&|~").find(c) != std::string_view::npos;
}

bool is_quote(char c) {
    return c == '"' || c == '\'';
}

[[noreturn]] void refuse(std::string_view text, std::size_t at, const std::string& why, const std::string& help = {}) {
    std::string line(text);
    std::replace_if(line.begin(), line.end(), is_space, ' ');
    throw UsageError(fmt::format("{}\n  {}\n  {:>{}}", why, line, "^", display_width(line.substr(0, at)) + 1), help);
}

class Words {
public:
    explicit Words(std::string_view text) : text_(text) {}

    std::vector<Token> all() {
        std::vector<Token> tokens;
        for (;;) {
            while (at_ < text_.size() && is_space(text_[at_])) ++at_;
            Token token = next();
            tokens.push_back(token);
            if (token.kind == Token::Kind::end) return tokens;
        }
    }

private:
    Token next() {
        Token token;
        token.at = at_;
        if (at_ == text_.size()) return token;
        if (is_quote(text_[at_])) {
            token.kind = Token::Kind::quoted;
            token.text = quoted();
        } else if (is_sign(text_[at_])) {
            token.kind = Token::Kind::sign;
            const std::string_view rest = text_.substr(at_);
            std::size_t length = 1;
            for (std::string_view sign : {"==", "!=", "<=", ">=", "=~", "&&", "||", "<>"})
                if (rest.starts_with(sign)) length = 2;
            token.text = rest.substr(0, length);
            at_ += length;
        } else {
            token.kind = Token::Kind::word;
            token.text = word();
        }
        return token;
    }

    // metrics."val loss".min is one word.
    std::string word() {
        std::string word;
        while (at_ < text_.size() && !is_space(text_[at_]) && !is_sign(text_[at_])) {
            if (is_quote(text_[at_]) && word.ends_with('.'))
                word += quoted();
            else
                word += text_[at_++];
        }
        return word;
    }

    std::string quoted() {
        const std::size_t begin = at_;
        const char quote = text_[at_++];
        std::string within;
        while (at_ < text_.size() && text_[at_] != quote) {
            if (text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
            within += text_[at_++];
        }
        if (at_ == text_.size()) refuse(text_, begin, "this quote is not closed");
        ++at_;
        return within;
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
    return text;
}

Value literal_of(const std::string& word) {
    const std::string name = lower(word);
    if (name == "true") return true;
    if (name == "false") return false;
    if (name == "null" || name == "none") return {};
    const bool is_number = word.find_first_of("0123456789") != std::string::npos;
    if (const auto number = is_number ? number_in_text(word) : std::nullopt) return *number;
    return word;
}

bool is_column(std::string_view name) {
    const auto& columns = where_columns();
    return std::find(columns.begin(), columns.end(), name) != columns.end();
}

std::optional<Operator> operator_of(const Token& token) {
    static const std::pair<const char*, Operator> kSigns[] = {
        {"=", Operator::equal},    {"==", Operator::equal},    {"!=", Operator::unequal},
        {"<>", Operator::unequal}, {"<", Operator::less},      {"<=", Operator::at_most},
        {">", Operator::greater},  {">=", Operator::at_least}, {"=~", Operator::matches},
    };
    if (token.kind == Token::Kind::word && lower(token.text) == "like") return Operator::like;
    if (token.kind != Token::Kind::sign) return std::nullopt;
    for (const auto& [sign, meaning] : kSigns)
        if (token.text == sign) return meaning;
    return std::nullopt;
}

// ---- the grammar

class Parser {
public:
    Parser(std::string_view text, Vocabulary vocabulary)
        : text_(text), vocabulary_(vocabulary), tokens_(Words(text).all()) {}

    NodePointer whole() {
        if (peek().kind == Token::Kind::end) refuse(text_, 0, "the expression is empty", example());
        NodePointer node = any();
        if (peek().kind != Token::Kind::end)
            refuse(text_, peek().at, fmt::format("'{}' is not expected here", peek().text),
                   peek().text == ")" ? "there is no '(' for it" : "`and` or `or` joins two conditions");
        return node;
    }

private:
    bool of_metrics() const { return vocabulary_ == Vocabulary::metrics; }
    const char* example() const {
        return of_metrics() ? "for example 'val_loss > 10' or 'loss = nan'"
                            : "for example 'config.lr > 0.01 and metrics.loss.min < 0.3'";
    }

    const Token& peek() const { return tokens_[next_]; }
    const Token& take() { return tokens_[peek().kind == Token::Kind::end ? next_ : next_++]; }
    bool at_word(const char* word, const char* sign = nullptr) const {
        if (peek().kind == Token::Kind::word) return lower(peek().text) == word;
        return sign != nullptr && peek().kind == Token::Kind::sign && peek().text == sign;
    }
    bool at_not_in() const {
        return at_word("not") && next_ + 1 < tokens_.size() && lower(tokens_[next_ + 1].text) == "in";
    }
    bool at_sign(const char* sign) const { return peek().kind == Token::Kind::sign && peek().text == sign; }

    NodePointer any() { return joined(Node::Kind::any, "or", "||", &Parser::all); }
    NodePointer all() { return joined(Node::Kind::all, "and", "&&", &Parser::one); }

    NodePointer joined(Node::Kind kind, const char* word, const char* sign, NodePointer (Parser::*part)()) {
        std::vector<NodePointer> parts{(this->*part)()};
        while (at_word(word, sign)) {
            take();
            parts.push_back((this->*part)());
        }
        if (parts.size() == 1) return parts.front();
        return std::make_shared<const Node>(Node{kind, std::move(parts)});
    }

    NodePointer one() {
        if (++depth_ > kDeepest) refuse(text_, peek().at, "the expression is nested too deeply");
        NodePointer node;
        if (at_word("not", "!")) {
            take();
            node = std::make_shared<const Node>(Node{Node::Kind::none, {one()}});
        } else if (at_sign("(")) {
            const std::size_t open = take().at;
            node = any();
            if (!at_sign(")")) refuse(text_, open, "this '(' is not closed");
            take();
        } else {
            node = comparison();
        }
        --depth_;
        return node;
    }

    NodePointer comparison() {
        Node node;
        node.left = left_operand();
        bool negated = false;
        if (at_not_in()) {
            take();
            negated = true;
        }
        if (at_word("in")) {
            take();
            node.kind = Node::Kind::comparison;
            node.by = Operator::among;
            list(node);
        } else if (const auto by = operator_of(peek())) {
            take();
            node.kind = Node::Kind::comparison;
            node.by = *by;
            node.right.push_back(right_operand(node));
        } else if (node.left.name.empty()) {
            refuse(text_, node.left.at, fmt::format("'{}' is compared with nothing", node.left.spelling), example());
        }
        auto made = std::make_shared<const Node>(std::move(node));
        return negated ? std::make_shared<const Node>(Node{Node::Kind::none, {made}}) : made;
    }

    void list(Node& node) {
        if (!at_sign("(")) {
            node.right.push_back(right_operand(node));
            return;
        }
        const std::size_t open = take().at;
        while (!at_sign(")")) {
            node.right.push_back(right_operand(node));
            if (at_sign(","))
                take();
            else if (!at_sign(")"))
                refuse(text_, open, "this '(' is not closed", "a list is (a, b, c)");
        }
        if (node.right.empty()) refuse(text_, open, "the list is empty");
        take();
    }

    Operand left_operand() {
        const Token token = operand_token();
        Operand operand{{}, {}, token.text, nullptr, token.at};
        if (of_metrics()) return metric_operand(token);
        if (token.kind == Token::Kind::quoted) {
            operand.literal = token.text;
        } else if (is_column(token.text) || is_value_name(token.text)) {
            operand.name = token.text;
            operand.spelling.clear();
        } else {
            operand.literal = literal_of(token.text);
            if (std::holds_alternative<std::string>(operand.literal) && !at_word("in") && !at_not_in())
                refuse_name(token);
        }
        return operand;
    }

    Operand right_operand(const Node& node) {
        const Token token = operand_token();
        Operand operand{{}, {}, token.text, nullptr, token.at};
        const bool quoted = token.kind == Token::Kind::quoted;
        if (of_metrics()) {
            operand = metric_operand(token);
        } else if (!quoted && (is_value_name(token.text) || (node.left.name.empty() && is_column(token.text)))) {
            operand.name = token.text;
            operand.spelling.clear();
        } else {
            operand.literal = quoted ? Value(token.text) : literal_of(token.text);
            fit_to_column(node, operand);
        }
        if (node.by != Operator::like && node.by != Operator::matches) return operand;
        if (!operand.name.empty()) refuse(text_, token.at, "a pattern is wanted here, not a name");
        if (node.by == Operator::like) return operand;
        operand.pattern = std::make_shared<const Pattern>(token.text);
        if (!operand.pattern->sound()) refuse(text_, token.at, "this is no regular expression");
        return operand;
    }

    // "val loss" in quotes is a name, too.
    Operand metric_operand(const Token& token) const {
        Operand operand{{}, {}, lower(token.text), nullptr, token.at};
        if (token.kind == Token::Kind::word) operand.literal = literal_of(token.text);
        const bool is_literal =
            !std::holds_alternative<std::string>(operand.literal) && token.kind == Token::Kind::word;
        if (is_literal) return operand;
        if (token.kind == Token::Kind::word && (operand.spelling == "nan" || operand.spelling.ends_with("inf"))) {
            operand.literal = operand.spelling;
            return operand;
        }
        operand.literal = {};
        operand.name = token.text;
        operand.spelling.clear();
        return operand;
    }

    Token operand_token() {
        const Token token = take();
        if (token.kind == Token::Kind::word || token.kind == Token::Kind::quoted) return token;
        refuse(text_, token.at, "a name or a value is missing here", example());
    }

    // A duration, a time or a status, where the column is one.
    void fit_to_column(const Node& node, Operand& operand) const {
        const auto* text = std::get_if<std::string>(&operand.literal);
        if (text == nullptr || node.by == Operator::like || node.by == Operator::matches) return;
        const std::string& column = node.left.name;
        if (column == "duration") {
            const auto duration = parse_duration(*text);
            if (!duration)
                refuse(text_, operand.at, fmt::format("'{}' is no duration", *text), "for example 90s, 2h30m or 3d");
            operand.literal = double(duration->count()) / 1000;
        } else if (column == "started" || column == "ended") {
            const auto time = parse_when(*text, wall_now());
            if (!time)
                refuse(text_, operand.at, fmt::format("'{}' is no time", *text),
                       "for example 2d (two days ago), 2026-11-20 or '2026-11-20 14:00'");
            operand.literal = double(time->time_since_epoch().count()) / 1000;
        } else if (column == "status" && !status_from(*text)) {
            const std::string near = closest(*text, status_names());
            refuse(text_, operand.at, fmt::format("'{}' is no status", *text),
                   near.empty() ? "`poster help ls` names them" : fmt::format("did you mean '{}'?", near));
        }
    }

    static std::vector<std::string> status_names() {
        std::vector<std::string> names;
        for (const char* name : {"queued", "running", "finished", "failed", "killed", "timeout", "preempted", "lost"})
            names.emplace_back(name);
        return names;
    }

    [[noreturn]] void refuse_name(const Token& token) const {
        try {
            check_where_name("", token.text);
        } catch (const UsageError& error) {
            refuse(text_, token.at, fmt::format("'{}' is not a name to ask for", token.text), error.help());
        }
        refuse(text_, token.at, "a name is wanted here");
    }

    std::string_view text_;
    Vocabulary vocabulary_;
    std::vector<Token> tokens_;
    std::size_t next_ = 0;
    int depth_ = 0;
};

} // namespace

Where Where::parse(std::string_view text, Vocabulary vocabulary) {
    Where where;
    try {
        where.root_ = Parser(text, vocabulary).whole();
    } catch (const UsageError& error) {
        if (vocabulary == Vocabulary::metrics) throw; // its caller names the setting
        throw UsageError(std::string("--where: ") + error.what(), error.help());
    }
    return where;
}

bool Where::holds(const Lookup& lookup) const {
    return root_->holds(lookup);
}

std::vector<std::string> Where::names() const {
    std::vector<std::string> names;
    root_->add_names(names);
    return names;
}

const std::vector<std::string>& where_columns() {
    static const std::vector<std::string> kColumns{"id",       "name",   "status", "command", "started", "ended",
                                                   "duration", "reason", "host",   "cwd",     "attempt", "exit_code",
                                                   "signal",   "tags",   "group",  "parent",  "note"};
    return kColumns;
}

bool is_value_name(std::string_view name) {
    for (std::string_view front : {"config.", "metrics.", "summary."})
        if (name.starts_with(front) && name.size() > front.size()) return true;
    return false;
}

void check_where_name(const std::string& place, const std::string& name) {
    if (is_column(name) || is_value_name(name)) return;
    const std::string near = closest(name, where_columns());
    throw UsageError(fmt::format("{}: '{}' is neither a column nor a value", place, name),
                     near.empty()
                         ? fmt::format("did you mean config.{0}, metrics.{0} or summary.{0}? The columns are {1}", name,
                                       fmt::join(where_columns(), ", "))
                         : fmt::format("did you mean '{}'?", near));
}

} // namespace poster
