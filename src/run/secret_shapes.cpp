#include "secret_shapes.hpp"

#include <algorithm>
#include <cstring>

#include "characters.hpp"
#include "redact.hpp"

namespace poster {

namespace {

using std::string_view;

enum class Body { alnum, word, upper, dotted }; // word: letters, digits, _ and -; dotted: also "." between

struct Shape {
    string_view prefix;
    Body body;
    int least;
    bool needs_digit;
};

constexpr Shape kShapes[] = {
    {"sk-ant-", Body::word, 8, false},
    {"sk-proj-", Body::word, 8, false},
    {"sk-or-", Body::word, 12, false},
    {"sk-", Body::word, 12, true},
    {"sk_live_", Body::alnum, 8, false},
    {"sk_test_", Body::alnum, 8, false},
    {"rk_live_", Body::alnum, 8, false},
    {"whsec_", Body::alnum, 12, false},
    {"ghp_", Body::alnum, 16, false},
    {"gho_", Body::alnum, 16, false},
    {"ghu_", Body::alnum, 16, false},
    {"ghs_", Body::alnum, 16, false},
    {"ghr_", Body::alnum, 16, false},
    {"github_pat_", Body::word, 12, false},
    {"glpat-", Body::word, 12, false},
    {"hf_", Body::alnum, 20, false},
    {"AKIA", Body::upper, 16, false},
    {"ASIA", Body::upper, 16, false},
    {"ABIA", Body::upper, 16, false},
    {"ACCA", Body::upper, 16, false},
    {"xoxa-", Body::word, 8, false},
    {"xoxb-", Body::word, 8, false},
    {"xoxp-", Body::word, 8, false},
    {"xoxr-", Body::word, 8, false},
    {"xoxs-", Body::word, 8, false},
    {"xoxe-", Body::word, 8, false},
    {"xapp-", Body::word, 16, true},
    {"AIza", Body::word, 30, false},
    {"ya29.", Body::word, 8, false},
    {"npm_", Body::alnum, 30, false},
    {"pypi-", Body::word, 16, false},
    {"dckr_pat_", Body::word, 12, false},
    {"nvapi-", Body::word, 16, false},
    {"gsk_", Body::alnum, 20, false},
    {"r8_", Body::alnum, 30, false},
    {"xai-", Body::alnum, 30, false},
    {"pplx-", Body::alnum, 30, false},
    {"hvs.", Body::word, 16, false},
    {"dop_v1_", Body::alnum, 32, false},
    {"shpat_", Body::alnum, 24, false},
    {"ATATT3", Body::word, 24, false},
    {"SG.", Body::dotted, 20, true},
    {"AGE-SECRET-KEY-1", Body::upper, 16, false},
    {"wandb_v1_", Body::word, 16, false},
    {"lin_api_", Body::alnum, 20, false},
};

bool belongs(char c, Body body) {
    switch (body) {
    case Body::alnum: return is_alnum(c);
    case Body::upper: return is_upper(c) || is_digit(c);
    case Body::word: return is_alnum(c) || c == '_' || c == '-';
    case Body::dotted: return is_alnum(c) || c == '_' || c == '-' || c == '.';
    }
    return false;
}

std::size_t run_length(string_view text, Body body) {
    std::size_t length = 0;
    while (length < text.size() && belongs(text[length], body)) ++length;
    return length;
}

// eyJhbGciOi….eyJzdWIiOi….signature
std::size_t jwt_length(string_view text) {
    constexpr std::size_t kLeast = 8;
    constexpr std::size_t kMostHeader = 4096;
    if (!starts_with(text, "eyJ")) return 0;
    const std::size_t header = run_length(text.substr(0, kMostHeader), Body::word);
    if (header < kLeast || header >= text.size() || text[header] != '.') return 0;
    if (run_length(text.substr(header + 1, kLeast), Body::word) < kLeast) return 0;
    return run_length(text, Body::dotted);
}

// 123456789:AAE… of a Telegram bot
std::size_t telegram_length(string_view text) {
    std::size_t digits = 0;
    while (digits < text.size() && is_digit(text[digits])) ++digits;
    if (digits < 8 || digits > 12 || digits >= text.size() || text[digits] != ':') return 0;
    const std::size_t body = run_length(text.substr(digits + 1), Body::word);
    return body >= 32 && body <= 40 ? digits + 1 + body : 0;
}

// https://hooks.slack.com/services/T0/B0/xyz: whoever knows it may post
std::size_t webhook_length(string_view text, std::size_t& kept) {
    for (const string_view prefix :
         {"hooks.slack.com/services/", "discord.com/api/webhooks/", "discordapp.com/api/webhooks/"}) {
        if (!starts_with(text, prefix)) continue;
        std::size_t end = prefix.size();
        while (end < text.size() && (belongs(text[end], Body::word) || text[end] == '/')) ++end;
        kept = prefix.size();
        return end;
    }
    return 0;
}

bool is_random(string_view word) {
    constexpr std::size_t kLeast = 20;
    return word.size() >= kLeast && std::any_of(word.begin(), word.end(), is_digit) &&
           std::any_of(word.begin(), word.end(), [](char c) { return !is_digit(c); });
}

// The credentials of one URL's authority.
std::string redact_authority(string_view authority) {
    const std::size_t at = authority.rfind('@');
    if (at == string_view::npos) return std::string{authority};
    const string_view login = authority.substr(0, at);
    const std::size_t colon = login.find(':');
    const string_view user = login.substr(0, colon);
    const bool secret_user = is_random(user) || shape_length(user) == user.size();
    std::string safe{secret_user && !user.empty() ? kRedacted : user};
    if (colon != string_view::npos) safe.append(":").append(colon + 1 < login.size() ? kRedacted : string_view{});
    return safe.append(authority.substr(at));
}

} // namespace

std::size_t shape_length(string_view text) {
    constexpr std::size_t kEnough = 200; // to tell: "sk-sk-sk-…" must not cost the square of its length
    for (const auto& shape : kShapes) {
        if (!starts_with(text, shape.prefix)) continue;
        const string_view rest = text.substr(shape.prefix.size());
        const string_view run = rest.substr(0, run_length(rest.substr(0, kEnough), shape.body));
        if (run.size() < std::size_t(shape.least)) continue;
        if (shape.needs_digit && std::none_of(run.begin(), run.end(), is_digit)) continue;
        return shape.prefix.size() + run_length(rest, shape.body);
    }
    if (const std::size_t length = jwt_length(text)) return length;
    return telegram_length(text);
}

std::string redact_shapes(string_view text) {
    std::string safe;
    safe.reserve(text.size());
    for (std::size_t i = 0; i < text.size();) {
        const bool inside = i > 0 && (is_alnum(text[i - 1]) || text[i - 1] == '_');
        const bool bot = i >= 3 && text.substr(i - 3, 3) == "bot"; // …/bot123456789:AAE…/sendMessage
        std::size_t kept = 0;
        std::size_t length = 0;
        if (!inside || (bot && is_digit(text[i]))) length = shape_length(text.substr(i));
        if (length == 0 && !inside) length = webhook_length(text.substr(i), kept);
        if (length == kept) {
            safe += text[i++];
            continue;
        }
        safe.append(text.substr(i, kept)).append(kRedacted);
        i += length;
    }
    return safe;
}

std::string redact_pem(string_view text) {
    constexpr string_view kBegin = "-----BEGIN ";
    constexpr string_view kEnd = "-----END ";
    constexpr string_view kDashes = "-----";
    std::string safe;
    for (;;) {
        std::size_t begin = text.find(kBegin);
        while (begin != string_view::npos) {
            const std::size_t label_end = text.find(kDashes, begin + kBegin.size());
            const string_view label =
                text.substr(begin, label_end == string_view::npos ? label_end : label_end - begin);
            if (label.find("PRIVATE KEY") != string_view::npos) break;
            begin = text.find(kBegin, begin + 1);
        }
        if (begin == string_view::npos) return safe.append(text);
        safe.append(text.substr(0, begin)).append(kRedacted);
        const std::size_t end = text.find(kEnd, begin);
        if (end == string_view::npos) return safe;
        const std::size_t closing = text.find(kDashes, end + kEnd.size());
        if (closing == string_view::npos) return safe;
        text.remove_prefix(closing + kDashes.size());
    }
}

std::string redact_urls(string_view text) {
    constexpr string_view kScheme = "://";
    std::string safe;
    for (;;) {
        const std::size_t scheme = text.find(kScheme);
        if (scheme == string_view::npos) return safe.append(text);
        const std::size_t begin = scheme + kScheme.size();
        std::size_t end = begin;
        // Not '<' and '>': they stand in "<redacted>", and this must leave its own work as it is.
        while (end < text.size() && !is_space(text[end]) && std::strchr("/?#\"'`\\,;|()", text[end]) == nullptr) ++end;
        safe.append(text.substr(0, begin)).append(redact_authority(text.substr(begin, end - begin)));
        text.remove_prefix(end);
    }
}

std::string redact_logins(string_view text) {
    constexpr string_view kNoUser[] = {"mailto",     "sip",  "acct",   "xmpp",  "email", "to",
                                       "from",       "cc",   "author", "git",   "ssh",   "npm",
                                       "maintainer", "file", "http",   "https", "image"};
    constexpr std::size_t kMostUrl = 500;
    std::string safe;
    std::size_t copied = 0;
    for (std::size_t at = text.find('@'); at != string_view::npos; at = text.find('@', at + 1)) {
        std::size_t begin = at;
        while (begin > copied && !is_space(text[begin - 1]) &&
               std::strchr("/\"'`=,;|()@<>{}&?", text[begin - 1]) == nullptr) {
            --begin;
        }
        std::size_t word = begin;
        while (word > copied && begin - word < kMostUrl && !is_space(text[word - 1])) --word;
        if (text.substr(word, begin - word).find("://") != string_view::npos) continue; // a URL's path
        const std::size_t colon = text.substr(0, at).find(':', begin);
        const string_view host = text.substr(at + 1);
        const bool to_host =
            !host.empty() && is_alnum(host[0]) && !starts_with(host, "sha256:") && !starts_with(host, "sha512:");
        if (colon == string_view::npos || colon + 1 >= at || !to_host) continue;
        const string_view user = text.substr(begin, colon - begin);
        const bool named = !user.empty() && (is_lower(user[0]) || is_upper(user[0])) &&
                           std::all_of(user.begin(), user.end(), is_name_char);
        if (!named || one_of(lowered(user), kNoUser)) continue;
        safe.append(text.substr(copied, colon + 1 - copied)).append(kRedacted);
        copied = at;
    }
    return safe.append(text.substr(copied));
}

} // namespace poster
