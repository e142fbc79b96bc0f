#pragma once
// Secrets in variables, arguments and URLs become "<redacted>"; harmless look-alikes stay readable.

#include <string>
#include <string_view>
#include <vector>

namespace poster {

class Redactor {
public:
    // Names (globs, case-insensitive) that the user's [capture] redact and keep settings add.
    Redactor(std::vector<std::string> redact = {}, std::vector<std::string> keep = {});

    bool is_secret_name(std::string_view name) const; // API_KEY yes; max_tokens, tokenizer, sort_key, use_cls_token no
    bool is_secret_value(std::string_view value) const;                     // sk-…, ghp_…, AKIA…, PEM blocks, JWTs …
    bool is_secret(std::string_view name, std::string_view value) const;    // the two together; `value` is one word
    std::string value(std::string_view name, std::string_view value) const; // of a variable or setting
    // --api-key X, --api-key=X, -pX is left alone, key=value (Hydra's +, ++ too), NAME=VALUE, URLs with user:password@
    std::vector<std::string> arguments(const std::vector<std::string>& argv) const;
    std::string text(std::string_view text) const; // free text: URLs' credentials and known key shapes

private:
    std::vector<std::string> redact_;
    std::vector<std::string> keep_;
};

inline constexpr std::string_view kRedacted = "<redacted>";

} // namespace poster
