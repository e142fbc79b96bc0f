// poster-grammar MODE: what poster reads into words, for comparison with the real parsers. A line of JSON in, one out.
//   fire      "word"                          Fire's value of the word
//   override  "word"                          [kind, path, package, value] of a Hydra override, or null
//   merge     [argv, first own word, extra]   a Hydra command line with more words
//   yaml      "text"                          the document

#include <functional>
#include <iostream>
#include <map>
#include <string>

#include <nlohmann/json.hpp>

#include <fire_literal.hpp>
#include <hydra_override.hpp>
#include <yaml_value.hpp>

using namespace poster;
using nlohmann::json;

namespace {

json override_of(const json& word) {
    const auto parsed = parse_hydra_override(word.get<std::string>());
    if (!parsed) return nullptr;
    constexpr const char* kKinds[] = {"CHANGE", "ADD", "FORCE_ADD", "DEL"};
    json value = parsed->value ? json(*parsed->value) : json();
    return {kKinds[int(parsed->kind)], parsed->path, parsed->package, value};
}

} // namespace

int main(int count, char** words) {
    const std::map<std::string, std::function<json(const json&)>> modes{
        {"fire", [](const json& it) { return fire_literal(it.get<std::string>()); }},
        {"override", override_of},
        {"merge", [](const json& it) { return merge_hydra_words(it[0], it[1], it[2]); }},
        {"yaml", [](const json& it) { return parse_yaml(it.get<std::string>()).value_or("no YAML"); }},
    };
    const auto mode = modes.find(count > 1 ? words[1] : "");
    if (mode == modes.end()) return 2;
    for (std::string line; std::getline(std::cin, line);) std::cout << mode->second(json::parse(line)) << '\n';
    return 0;
}
