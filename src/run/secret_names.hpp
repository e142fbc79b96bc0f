#pragma once
// Does a name say that its value is secret? "key" and "token" are everyday words of machine learning (sort_key,
// max_tokens, pad_token), so for these the neighbouring words and the value count too.

#include <string_view>

namespace poster {

enum class Verdict {
    harmless,
    likely, // the value decides
    secret,
};

Verdict judge(std::string_view name);
bool is_never_secret(std::string_view value); // "", "true", "$API_KEY" …
bool is_secret_pair(Verdict verdict, std::string_view name, std::string_view value);
// "use-auth-token", "no-secret": a switch, which takes no value.
bool is_switch(std::string_view name);

} // namespace poster
