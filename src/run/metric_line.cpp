#include "metric_line.hpp"

#include <charconv>
#include <cmath>
#include <limits>

#include <nlohmann/json.hpp>

#include <clock.hpp>

#include "characters.hpp"

namespace poster {

namespace {

using nlohmann::ordered_json;

constexpr std::string_view kKind = R"({"kind":")";
constexpr std::string_view kMetric = R"({"kind":"metric")";
constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Word {
    std::string_view text;
    double value;
};
constexpr Word kWords[] = {
    {"NaN", std::numeric_limits<double>::quiet_NaN()}, {"Infinity", kInfinity}, {"-Infinity", -kInfinity}};

constexpr double kPowersOfTen[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                   1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
constexpr std::uint64_t kExactBelow = 1ULL << 53; // whole numbers that a double holds
constexpr std::ptrdiff_t kSafeDigits = 19;        // that 64 bits hold

// Reads one line from left to right. Each step says false where the line is spelled in another way.
class Scanner {
public:
    explicit Scanner(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

    bool skip(std::string_view word) {
        if (std::size_t(end_ - at_) < word.size() || std::string_view(at_, word.size()) != word) return false;
        at_ += word.size();
        return true;
    }

    bool at_end() const { return at_ == end_; }

    // The text of a string without escapes, in ASCII.
    bool text(std::string_view& out) {
        if (!skip("\"")) return false;
        const char* begin = at_;
        while (at_ != end_ && *at_ != '"') {
            const auto byte = static_cast<unsigned char>(*at_);
            if (byte == '\\' || byte < 0x20 || byte >= 0x80) return false;
            ++at_;
        }
        out = {begin, std::size_t(at_ - begin)};
        return skip("\"");
    }

    bool whole(std::int64_t& out) {
        if (!number_begins()) return false;
        auto [stop, failure] = std::from_chars(at_, end_, out);
        if (failure != std::errc{}) return false;
        at_ = stop;
        return at_ != end_ && (*at_ == ',' || *at_ == '}');
    }

    bool number(double& out) {
        if (at_ != end_ && !is_digit(*at_) && word(out)) return true;
        if (!number_begins()) return false;
        const char* begin = at_;
        const bool negative = *at_ == '-';
        if (negative) ++at_;
        const char* first_digit = at_;
        std::uint64_t mantissa = 0;
        digits(mantissa);
        std::ptrdiff_t fraction = 0, count = at_ - first_digit;
        if (at_ != end_ && *at_ == '.') {
            ++at_;
            fraction = digits(mantissa);
            if (fraction == 0) return false;
            count += fraction;
        }
        const bool exponent = at_ != end_ && (*at_ == 'e' || *at_ == 'E');
        if (!exponent && count <= kSafeDigits &&
            mantissa < kExactBelow) { // both exact, so the quotient is rounded once
            const double value = static_cast<double>(mantissa) / kPowersOfTen[fraction];
            out = negative ? -value : value;
            return true;
        }
        return any_number(begin, exponent, out);
    }

private:
    // JSON knows neither "+1", "01" nor ".5".
    bool number_begins() const {
        const char* first = at_ != end_ && *at_ == '-' ? at_ + 1 : at_;
        if (first == end_ || !is_digit(*first)) return false;
        return *first != '0' || first + 1 == end_ || !is_digit(first[1]);
    }

    std::ptrdiff_t digits(std::uint64_t& value) {
        const char* begin = at_;
        while (at_ != end_ && is_digit(*at_)) value = value * 10 + std::uint64_t(*at_++ - '0');
        return at_ - begin;
    }

    bool any_number(const char* begin, bool exponent, double& out) {
        if (exponent) {
            ++at_;
            if (at_ != end_ && (*at_ == '+' || *at_ == '-')) ++at_;
            std::uint64_t ignored = 0;
            if (digits(ignored) == 0) return false;
        }
        auto [stop, failure] = std::from_chars(begin, at_, out);
        return failure == std::errc{} && stop == at_;
    }

    bool word(double& out) {
        const bool quoted = *at_ == '"';
        for (const auto& [text, value] : kWords) {
            const std::string_view rest(at_ + (quoted ? 1 : 0), std::size_t(end_ - at_) - (quoted ? 1 : 0));
            if (!rest.starts_with(text) || (quoted && !rest.substr(text.size()).starts_with('"'))) continue;
            at_ += text.size() + (quoted ? 2 : 0);
            out = value;
            return true;
        }
        return false;
    }

    const char* at_;
    const char* end_;
};

template <typename Value, typename Read>
bool optional_field(Scanner& scan, std::string_view key, std::optional<Value>& field, Read read) {
    field.reset();
    if (!scan.skip(key)) return true;
    Value value{};
    if (!read(value)) return false;
    field = value;
    return true;
}

bool read_values(Scanner& scan, std::vector<MetricValue>& values) {
    values.clear();
    if (scan.skip("}}")) return scan.at_end();
    do {
        MetricValue next;
        if (!scan.text(next.name) || !scan.skip(":") || !scan.number(next.value)) return false;
        values.push_back(next);
    } while (scan.skip(","));
    return scan.skip("}}") && scan.at_end();
}

bool read_usual_spelling(std::string_view line, MetricLine& out) {
    Scanner scan(line);
    auto number = [&](double& value) { return scan.number(value); };
    auto whole = [&](std::int64_t& value) { return scan.whole(value); };
    if (!scan.skip(kMetric) || !optional_field(scan, R"(,"time":)", out.time, number) ||
        !optional_field(scan, R"(,"step":)", out.step, whole) ||
        !optional_field(scan, R"(,"epoch":)", out.epoch, number) ||
        !optional_field(scan, R"(,"rank":)", out.rank, whole) || !scan.skip(R"(,"values":{)"))
        return false;
    if (out.time && !std::isfinite(*out.time)) out.time.reset();
    return read_values(scan, out.values);
}

// Without parsing it, where the kind comes first.
bool is_of_another_kind(std::string_view line) {
    if (!line.starts_with(kKind)) return false;
    const auto kind = line.substr(kKind.size());
    const auto end = kind.find_first_of("\"\\");
    return end != kind.npos && kind[end] == '"' && kind.substr(0, end) != "metric";
}

// The bare words NaN and Infinity, which are no JSON, as the strings that stand for them.
std::string quote_bare_words(std::string_view line) {
    std::string text;
    text.reserve(line.size() + 16);
    bool in_string = false;
    for (std::size_t i = 0; i < line.size(); ++i) {
        const char c = line[i];
        if (c == '"') in_string = !in_string;
        if (in_string && c == '\\' && i + 1 < line.size()) {
            text.append(line.substr(i++, 2));
            continue;
        }
        const Word* word = nullptr;
        if (!in_string)
            for (const auto& candidate : kWords)
                if (line.substr(i).starts_with(candidate.text)) word = &candidate;
        if (word == nullptr) {
            text.push_back(c);
            continue;
        }
        text.append("\"").append(word->text).append("\"");
        i += word->text.size() - 1;
    }
    return text;
}

std::optional<double> number_in(const ordered_json& value) {
    if (value.is_number()) return value.get<double>();
    if (!value.is_string()) return std::nullopt;
    for (const auto& [text, number] : kWords)
        if (value.get_ref<const std::string&>() == text) return number;
    return std::nullopt;
}

const ordered_json& field_of(const ordered_json& object, const char* key) {
    static const ordered_json kNull;
    auto found = object.find(key);
    return found == object.end() ? kNull : *found;
}

std::optional<std::int64_t> whole_in(const ordered_json& value) {
    if (value.is_number_integer()) {
        const bool fits = !value.is_number_unsigned() || value.get<std::uint64_t>() <= std::uint64_t(INT64_MAX);
        return fits ? std::optional(value.get<std::int64_t>()) : std::nullopt;
    }
    if (!value.is_number_float()) return std::nullopt;
    const auto number = value.get<double>();
    const bool fits = std::trunc(number) == number && std::abs(number) < double(kExactBelow);
    return fits ? std::optional(std::int64_t(number)) : std::nullopt;
}

std::optional<double> time_in(const ordered_json& value) {
    if (auto seconds = number_in(value)) return std::isfinite(*seconds) ? seconds : std::nullopt;
    if (!value.is_string()) return std::nullopt;
    auto time = parse_iso8601(value.get_ref<const std::string&>());
    return time ? std::optional(double(time->time_since_epoch().count()) / 1000) : std::nullopt;
}

} // namespace

const MetricLine* MetricLineParser::parse(std::string_view line) {
    return read_usual_spelling(line, parsed_) ? &parsed_ : parse_slowly(line);
}

const MetricLine* MetricLineParser::parse_slowly(std::string_view line) {
    if (is_of_another_kind(line)) return nullptr;
    auto object = ordered_json::parse(quote_bare_words(line), nullptr, false);
    if (!object.is_object() || field_of(object, "kind") != "metric") return nullptr;
    const auto& values = field_of(object, "values");
    if (!values.is_object()) return nullptr;
    parsed_.time = time_in(field_of(object, "time"));
    parsed_.step = whole_in(field_of(object, "step"));
    parsed_.epoch = number_in(field_of(object, "epoch"));
    parsed_.rank = whole_in(field_of(object, "rank"));
    parsed_.values.clear();
    names_.clear();
    for (const auto& [name, value] : values.items())
        if (auto number = number_in(value)) parsed_.values.push_back({names_.emplace_back(name), *number});
    return &parsed_;
}

} // namespace poster
