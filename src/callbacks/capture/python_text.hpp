#pragma once
// The tokens of Python's literals, and how Python shows values (repr).

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace poster {

std::size_t python_identifier_length(std::string_view text); // of the name at its beginning; 0: there is none

struct PythonNumber {
    enum class Kind { integer, real, imaginary } kind = Kind::integer;
    std::size_t length = 0;
    std::string digits; // of an integer, without prefix and underscores
    int base = 10;
    double real = 0; // of the others
};
std::optional<PythonNumber> read_python_number(std::string_view text); // nullopt: malformed

struct PythonString {
    std::size_t length = 0; // prefix and quotes included
    std::string content;    // UTF-8, or the bytes
    bool is_bytes = false;
};
// With its prefix. nullopt: malformed, an f-string, or a character by its name (\N{…}).
std::optional<PythonString> read_python_string(std::string_view text);

std::string python_repr(double number);
std::string python_repr(std::string_view text);
std::string python_bytes_repr(std::string_view bytes);

} // namespace poster
