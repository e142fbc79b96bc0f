#pragma once
// Python Fire's reading of a word on the command line (fire.parser.DefaultParseValue), as JSON: a Python literal in
// which bare names are strings, else the word itself.
//
//   1e5 → 100000.0   0x1F → 31   1_000 → 1000   - 3 → -3   010 → "010"   True → true   true → "true"   None → null
//   a,b → ["a","b"]   [1,a] → [1,"a"]   [1,a-b] → "[1,a-b]"   {a:1} → {"a":1}   1 # c → 1   1+2 → "1+2"
//
// As everywhere in Poster's records tuples are arrays, sets sorted arrays, keys of a dict strings; infinity is
// "Infinity"; complex numbers, bytes and the ellipsis are what Python's repr shows.

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace poster {

nlohmann::json fire_literal(std::string_view word);

// {"source": "argv-fire", "rung": "argv", "values", "positionals"}: the words of a Fire program without the signatures
// of its functions. `parameters` are names that stand in its text: they tell --norm from --no-rm.
//   --lr=1, --lr 1, --flag → true, --noflag → false, `-` ends a call's arguments, the last `--` begins Fire's own flags
nlohmann::json config_from_fire_words(const std::vector<std::string>& words,
                                      const std::set<std::string, std::less<>>& parameters);

} // namespace poster
