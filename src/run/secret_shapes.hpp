#pragma once
// Secrets that are told by their looks, whatever their name: keys with a known prefix, PEM, logins of URLs. Each of
// the functions leaves what it has redacted once as it is.

#include <cstddef>
#include <string>
#include <string_view>

namespace poster {

// Length of the secret that the text begins with; 0: none.
std::size_t shape_length(std::string_view text);
std::string redact_shapes(std::string_view text);
std::string redact_pem(std::string_view text);    // private keys only
std::string redact_urls(std::string_view text);   // scheme://user:password@host
std::string redact_logins(std::string_view text); // user:password@host without a scheme, as scp takes it

} // namespace poster
