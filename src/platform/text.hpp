#pragma once
// Words for people and shells.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace poster {

std::string shell_quote(std::string_view word); // as a POSIX shell would need it typed
std::string shell_join(const std::vector<std::string>& words);
// The words of one line as a POSIX shell splits and unquotes them, `#` beginning a comment; nothing is expanded.
// nullopt: a quote is left open, or a backslash ends the line.
std::optional<std::vector<std::string>> shell_split(std::string_view line);
std::string closest(std::string_view word, const std::vector<std::string>& candidates); // "" when none is near
std::string format_bytes(std::uint64_t bytes);                                          // "3.4 GB" (powers of 1000)
std::size_t display_width(std::string_view utf8);                                       // terminal columns
std::string shorten(std::string_view utf8, std::size_t columns);                        // with "…" at the end when cut
std::string valid_utf8(std::string_view bytes); // invalid sequences become U+FFFD
// valid_utf8, shortened, control characters become spaces: what a server says, for a terminal and a record.
std::string in_a_line(std::string_view bytes, std::size_t columns = 200);
std::size_t utf8_length(char first);                                   // bytes of the character that begins so
std::string signal_name(int signal);                                   // "SIGTERM", "SIGRTMIN+3"
std::optional<int> signal_from_name(std::string_view name);            // "SIGTERM", "TERM", "15", "SIGRTMIN+3"
std::vector<std::string> split(std::string_view text, char separator); // no empty parts

} // namespace poster
