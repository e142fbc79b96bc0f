#pragma once
// The words and numbers of a printed line. Only what looks like the value of something is a number: dates, versions,
// addresses, clock times and numbers with a unit are `junk`.

#include <cstdint>
#include <string_view>
#include <vector>

namespace poster {

struct PrintedToken {
    enum class Kind { word, number, fraction, junk, sign };
    Kind kind = Kind::sign;
    std::string_view text;
    bool gap = false;      // a tab, two blanks or the line's beginning stand before it
    bool spaced = false;   // any blank, or the line's beginning
    bool begins = true;    // of a word: what stands before it may stand before a name
    bool integral = false; // of a number: no point, no exponent
    bool percent = false;  // of a number: a % follows
    double value = 0;      // of a fraction: of what stands before the /
    double total = 0;      // of a fraction: 0 where it is unknown ("40it")
    bool is(char sign) const { return kind == Kind::sign && text.front() == sign; }
};

// At most 2000 tokens. A bar such as [====>...] is one sign, '#'; a run of characters beyond ASCII is one, too.
void split_printed(std::string_view line, std::vector<PrintedToken>& tokens);

// All of `text` is a number as programs print it: 0.5, -1e-05, 91.3%, nan, inf.
bool parse_printed_number(std::string_view text, double& value);

} // namespace poster
