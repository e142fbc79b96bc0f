#include <poster/settings.hpp>

#include <cerrno>
#include <cstdlib>

#include "clock.hpp"
#include "error.hpp"
#include "text.hpp"

namespace poster {

namespace {

[[noreturn]] void refuse(std::string_view key, const Settings::Value& value, const std::string& wanted) {
    // Not the value itself: it may be a secret in the wrong place.
    throw UsageError("setting '" + std::string{key} + "' (" + value.source + ") is not " + wanted);
}

std::string trimmed(std::string_view text) {
    const auto blank = [](char c) { return c == ' ' || c == '\t'; };
    while (!text.empty() && blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && blank(text.back())) text.remove_suffix(1);
    return std::string{text};
}

} // namespace

const Settings::Value& Settings::at(std::string_view key) const {
    const auto found = values_.find(key);
    if (found == values_.end()) throw Error("no setting is called '" + std::string{key} + "'");
    return found->second;
}

std::string Settings::text(std::string_view key) const {
    return at(key).text;
}

bool Settings::flag(std::string_view key) const {
    const Value& value = at(key);
    for (const std::string_view yes : {"true", "1", "yes", "on"}) {
        if (value.text == yes) return true;
    }
    for (const std::string_view no : {"false", "0", "no", "off", ""}) {
        if (value.text == no) return false;
    }
    refuse(key, value, "true or false");
}

long Settings::integer(std::string_view key) const {
    const Value& value = at(key);
    char* end = nullptr;
    errno = 0;
    const long number = std::strtol(value.text.c_str(), &end, 10);
    if (value.text.empty() || *end != '\0' || errno != 0) refuse(key, value, "a whole number");
    return number;
}

double Settings::number(std::string_view key) const {
    const Value& value = at(key);
    char* end = nullptr;
    const double number = std::strtod(value.text.c_str(), &end);
    if (value.text.empty() || *end != '\0') refuse(key, value, "a number");
    return number;
}

Milliseconds Settings::duration(std::string_view key) const {
    const Value& value = at(key);
    if (value.text.empty()) return Milliseconds{0};
    const auto parsed = parse_duration(value.text);
    if (!parsed) refuse(key, value, "a duration such as 10s or 1h30m");
    return *parsed;
}

std::vector<std::string> Settings::list(std::string_view key) const {
    std::vector<std::string> items;
    std::string item;
    const auto end_item = [&] {
        if (item = trimmed(item); !item.empty()) items.push_back(item);
        item.clear();
    };
    const std::string& text = at(key).text;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == ',') {
            end_item();
        } else {
            if (text.compare(i, 2, "\\,") == 0) ++i;
            item += text[i];
        }
    }
    end_item();
    return items;
}

bool Settings::contains(std::string_view key_or_section) const {
    const auto given = [](const auto& entry) { return entry.second.source != "default"; };
    if (const auto found = values_.find(key_or_section); found != values_.end()) return given(*found);
    const std::string prefix = std::string{key_or_section} + '.';
    for (auto entry = values_.lower_bound(prefix); entry != values_.end() && entry->first.rfind(prefix, 0) == 0;
         ++entry) {
        if (given(*entry)) return true;
    }
    return false;
}

void Settings::set(std::string key, std::string text, std::string source) {
    values_.insert_or_assign(std::move(key), Value{std::move(text), std::move(source)});
}

} // namespace poster
