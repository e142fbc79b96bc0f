#pragma once
// Numbers and texts appended to lines that are written by the million.

#include <cstdint>
#include <string>
#include <string_view>

namespace poster {

void append_whole(std::string& out, std::int64_t value);
void append_number(std::string& out, double value);        // as short as reads back the same; nan, inf, -inf
void append_json_number(std::string& out, double value);   // the same; "NaN", "Infinity" and "-Infinity" as strings
void append_csv(std::string& out, std::string_view text);  // quoted where it must be
void append_json(std::string& out, std::string_view text); // quoted; invalid UTF-8 is replaced
void append_short(std::string& out, double value);         // for people: six digits
std::string short_number(double value);

} // namespace poster
