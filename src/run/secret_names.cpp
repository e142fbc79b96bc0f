#include "secret_names.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "characters.hpp"

namespace poster {

namespace {

using std::string_view;

struct Name {
    std::vector<std::string> words;  // lower case, without trailing digits
    std::vector<std::size_t> parts;  // which dotted part each word stands in
    std::vector<std::string> chunks; // lower case, split at separators only: "apikey" of "APIkey"
    bool shouting = false;           // like an environment variable: no lower-case letter in the last part

    bool same_part(std::size_t a, std::size_t b) const { return parts[a] == parts[b]; }
    const std::string& last() const { return words.back(); }
};

void add_word(Name& name, string_view word, std::size_t part) {
    std::size_t length = word.size();
    while (length > 1 && is_digit(word[length - 1])) --length;
    name.words.push_back(lowered(word.substr(0, length)));
    name.parts.push_back(part);
}

// "fooBarHTTPKey" is foo, Bar, HTTP, Key.
void add_camel_words(Name& name, string_view chunk, std::size_t part) {
    std::size_t begin = 0;
    for (std::size_t i = 1; i < chunk.size(); ++i) {
        const bool rises = !is_upper(chunk[i - 1]) && is_upper(chunk[i]);
        const bool acronym_ends =
            is_upper(chunk[i - 1]) && is_upper(chunk[i]) && i + 1 < chunk.size() && is_lower(chunk[i + 1]);
        if (!rises && !acronym_ends) continue;
        add_word(name, chunk.substr(begin, i - begin), part);
        begin = i;
    }
    add_word(name, chunk.substr(begin), part);
}

Name parse_name(string_view text) {
    Name name;
    std::size_t part = 0;
    for (std::size_t i = 0; i < text.size();) {
        std::size_t end = i;
        while (end < text.size() && is_alnum(text[end])) ++end;
        if (end > i) {
            add_camel_words(name, text.substr(i, end - i), part);
            name.chunks.push_back(lowered(text.substr(i, end - i)));
        }
        if (end < text.size() && (text[end] == '.' || text[end] == '/' || text[end] == ':' || text[end] == '@')) ++part;
        i = end + 1;
    }
    const string_view last_part = text.substr(text.find_last_of("./:@") + 1);
    name.shouting = std::any_of(last_part.begin(), last_part.end(), is_upper) &&
                    std::none_of(last_part.begin(), last_part.end(), is_lower);
    return name;
}

constexpr string_view kStrong[] = {
    "password",   "passwords",     "passwd",    "passphrase",  "passcode",  "secret",       "secrets",
    "credential", "credentials",   "creds",     "cred",        "bearer",    "cookie",       "cookies",
    "jwt",        "authorization", "apikey",    "apikeys",     "accesskey", "privatekey",   "secretkey",
    "sessionkey", "authkey",       "authtoken", "accesstoken", "apitoken",  "sessiontoken", "pwd"};
// One word in which nobody marked where the parts meet: PGPASSWORD, MYSQLPASSWORD, openaiapikey.
constexpr string_view kStrongEndings[] = {"password",  "passwd",       "passphrase",   "apikey",      "accesskey",
                                          "secretkey", "privatekey",   "authtoken",    "accesstoken", "apitoken",
                                          "authkey",   "sessionkey",   "sessiontoken", "hftoken",     "githubtoken",
                                          "bottoken",  "clientsecret", "refreshtoken", "bearertoken"};
// "api key", "access tokens": beyond doubt.
constexpr string_view kVouching[] = {
    "api",          "access",     "secret",  "private",     "auth",     "oauth",     "bearer",   "refresh",  "session",
    "signing",      "encryption", "master",  "deploy",      "service",  "client",    "consumer", "account",  "license",
    "subscription", "ssh",        "webhook", "security",    "personal", "ci",        "push",     "registry", "github",
    "gitlab",       "gh",         "hf",      "huggingface", "openai",   "anthropic", "wandb",    "aws",      "azure",
    "gcp",          "google",     "slack",   "telegram",    "discord",  "vault",     "npm",      "pypi",     "comet",
    "neptune",      "cohere",     "gemini",  "csrf"};
constexpr string_view kVouchingPlural[] = {"api",   "access", "secret",  "private", "auth",
                                           "oauth", "bearer", "refresh", "session"};
// A last word that says the value is about the secret, not the secret.
constexpr string_view kAbout[] = {
    "file",   "files",  "filename", "path",   "paths",    "dir",     "directory",  "folder",   "location", "name",
    "names",  "method", "methods",  "type",   "types",    "mode",    "helper",     "provider", "policy",   "length",
    "len",    "size",   "timeout",  "ttl",    "expiry",   "expires", "expiration", "lifetime", "env",      "var",
    "field",  "column", "version",  "count",  "min",      "max",     "required",   "enabled",  "enable",   "disabled",
    "stdin",  "prompt", "sock",     "socket", "backend",  "scheme",  "strategy",   "class",    "plugin",   "url",
    "uri",    "host",   "hostname", "port",   "realm",    "domain",  "server",     "endpoint", "interval", "rotation",
    "cache",  "store",  "manager",  "user",   "username", "format",  "algorithm",  "alg",      "strength", "limit",
    "limits", "budget", "jar",      "agent",  "info",     "dim",     "dims",       "index",    "ring",     "group"};
constexpr string_view kHarmlessNear[] = {
    "max",       "min",        "num",      "n",         "total",     "sort",    "sorted",       "cls",
    "pad",       "padding",    "eos",      "bos",       "mask",      "masked",  "sep",          "unk",
    "unknown",   "special",    "per",      "dim",       "dims",      "size",    "len",          "length",
    "count",     "counts",     "ids",      "index",     "indices",   "idx",     "type",         "types",
    "primary",   "foreign",    "monitor",  "metric",    "metrics",   "group",   "groupby",      "public",
    "pub",       "order",      "orderby",  "dict",      "column",    "col",     "field",        "budget",
    "limit",     "pos",        "position", "image",     "images",    "img",     "new",          "vision",
    "visual",    "audio",      "video",    "prefix",    "suffix",    "class",   "begin",        "eot",
    "eod",       "eom",        "im",       "decoder",   "encoder",   "byte",    "bytes",        "sub",
    "subword",   "word",       "char",     "prompt",    "learnable", "distill", "distillation", "latent",
    "summary",   "separator",  "blank",    "fim",       "skip",      "drop",    "dropout",      "keep",
    "patch",     "src",        "tgt",      "forced",    "suppress",  "ignore",  "multi",        "loss",
    "reward",    "think",      "thinking", "label",     "labels",    "join",    "partition",    "lookup",
    "merge",     "compare",    "cmp",      "rng",       "prng",      "seed",    "heads",        "embed",
    "embedding", "embeddings", "attn",     "attention", "kv",        "early",   "checkpoint",   "ckpt",
    "plot",      "hot",        "arrow",    "press",     "shortcut",  "avg",     "mean",         "std",
    "sum",       "ratio",      "rate",     "levels",    "steps",     "ctx",     "completion",   "generated",
    "generate",  "trainable",  "fill"};
// Of a configuration key only: TEST_TOKEN and DATA_KEY are variables with secrets.
constexpr string_view kHarmlessInConfig[] = {
    "test",   "data",    "config",  "source",   "target",   "targets",  "global", "local",    "cache",  "node",
    "object", "bucket",  "item",    "state",    "instance", "register", "input",  "inputs",   "output", "outputs",
    "text",   "value",   "values",  "hash",     "random",   "single",   "train",  "val",      "eval",   "result",
    "head",   "memory",  "start",   "end",      "stop",     "next",     "prev",   "previous", "first",  "last",
    "best",   "param",   "params",  "row",      "block",    "step",     "level",  "x",        "y",      "dist",
    "score",  "context", "feature", "features", "dataset",  "batch",    "extra",  "filter",   "query"};
constexpr string_view kCarriesAuth[] = {"header", "headers", "string", "data", "code",
                                        "hash",   "config",  "json",   "basic"};
constexpr string_view kPassOwners[] = {"db",    "smtp",     "mysql",    "pg",    "postgres", "redis", "mail",
                                       "email", "ftp",      "ssh",      "sudo",  "http",     "proxy", "root",
                                       "admin", "login",    "key",      "mongo", "docker",   "imap",  "ldap",
                                       "user",  "database", "rabbitmq", "vpn",   "wifi"};

bool harmless_neighbour(const Name& name, std::size_t at) {
    for (std::size_t i = 0; i < name.words.size(); ++i) {
        const bool harmless =
            one_of(name.words[i], kHarmlessNear) || (!name.shouting && one_of(name.words[i], kHarmlessInConfig));
        if (i == at || !harmless) continue;
        const bool parent = i + 1 == at && (at + 1 == name.words.size()); // "sort.key"
        if (name.same_part(i, at) || parent) return true;
    }
    return false;
}

// A "key", "keys", "token" or "tokens" at `at`.
Verdict judge_key(const Name& name, std::size_t at) {
    const bool plural = name.words[at].back() == 's';
    const bool last = at + 1 == name.words.size();
    if (!last && one_of(name.last(), kAbout)) return Verdict::harmless;
    if (at > 0 && (plural ? one_of(name.words[at - 1], kVouchingPlural) : one_of(name.words[at - 1], kVouching))) {
        const bool counted = one_of(name.words.front(), {"max", "num", "n", "min"}) && name.same_part(0, at);
        return counted ? Verdict::harmless : Verdict::secret;
    }
    if (plural || harmless_neighbour(name, at)) return Verdict::harmless;
    if (last) return Verdict::likely;
    // "token_mixer", "key_padding_mask", "KeyError", but also API_TOKEN_GITHUB.
    return name.shouting && name.words[at + 1] != "id" ? Verdict::likely : Verdict::harmless;
}

Verdict judge_auth(const Name& name, std::size_t at) {
    if (at + 1 == name.words.size()) return Verdict::likely;
    return one_of(name.words[at + 1], kCarriesAuth) ? Verdict::secret : Verdict::harmless;
}

Verdict judge_pass(const Name& name, std::size_t at) {
    if (at + 1 != name.words.size()) return Verdict::harmless; // pass_rate
    if (at > 0 && one_of(name.words[at - 1], kPassOwners)) return Verdict::secret;
    return name.shouting || name.words.size() == 1 ? Verdict::likely : Verdict::harmless; // two_pass
}

Verdict judge_strong(const Name& name, std::size_t at, string_view text) {
    if (name.words[at] == "pwd" && (text == "PWD" || text == "OLDPWD"))
        return Verdict::harmless; // the working directory
    const bool last = at + 1 == name.words.size();
    return !last && one_of(name.last(), kAbout) ? Verdict::harmless : Verdict::secret;
}

Verdict judge_word(const Name& name, std::size_t at, string_view text) {
    const std::string& word = name.words[at];
    if (one_of(word, kStrong)) return judge_strong(name, at, text);
    if (one_of(word, {"key", "keys", "token", "tokens"})) return judge_key(name, at);
    if (word == "auth") return judge_auth(name, at);
    if (word == "pass") return judge_pass(name, at);
    if (word == "pat" && at > 0 && one_of(name.words[at - 1], kVouching)) return Verdict::secret;
    return Verdict::harmless;
}

bool is_reference(string_view value) { // "$API_KEY", "${oc.env:API_KEY}": says where the secret is
    if (value.size() < 2 || value[0] != '$') return false;
    if (value[1] == '{') return value.back() == '}' && value.find('}') == value.size() - 1;
    return std::all_of(value.begin() + 1, value.end(), [](char c) { return is_upper(c) || is_digit(c) || c == '_'; });
}

bool is_small_number(string_view value) {
    constexpr std::size_t kDigits = 5; // a vocabulary has fewer entries than a numeric token has values
    const auto digits = std::size_t(std::count_if(value.begin(), value.end(), is_digit));
    const bool numeric = std::all_of(value.begin(), value.end(),
                                     [](char c) { return is_digit(c) || std::strchr(".,+-eE", c) != nullptr; });
    return numeric && digits > 0 && digits <= kDigits;
}

bool is_path(string_view value) {
    if (starts_with(value, "./") || starts_with(value, "../") || starts_with(value, "~/")) return true;
    if (value.size() < 2 || value[0] != '/') return false;
    return value.find('/', 1) != string_view::npos && value.find_first_of("+=") == string_view::npos;
}

// Of a name that is only likely to be a secret's.
bool looks_harmless(string_view name, string_view value) {
    if (is_small_number(value) || is_path(value)) return true;
    const bool marker = value.size() > 2 && ((value.front() == '<' && value.back() == '>') ||
                                             (value.front() == '[' && value.back() == ']')); // "<|endoftext|>", "[PAD]"
    if (marker) return true;
    constexpr string_view kMethods[] = {"basic",  "digest",   "ntlm",   "token",    "oauth",    "oauth2",
                                        "bearer", "kerberos", "gssapi", "md5",      "password", "browser",
                                        "iam",    "ldap",     "mtls",   "anonymous"};
    const bool about_auth = ends_with(lowered(name), "auth");
    if (about_auth && one_of(lowered(value), kMethods)) return true;
    constexpr std::size_t kColumnName = 8; // "key=loss": the name of a column, not of a person's dog
    return name == "key" && value.size() <= kColumnName && std::all_of(value.begin(), value.end(), is_lower) &&
           value.find("secret") == string_view::npos && value.find("pass") == string_view::npos;
}

} // namespace

Verdict judge(string_view text) {
    const Name name = parse_name(text);
    Verdict worst = Verdict::harmless;
    for (std::size_t i = 0; i < name.words.size(); ++i) worst = std::max(worst, judge_word(name, i, text));
    if (worst == Verdict::secret || name.words.empty() || one_of(name.last(), kAbout)) return worst;
    for (const auto& chunk : name.chunks) {
        const bool strong = std::any_of(std::begin(kStrongEndings), std::end(kStrongEndings),
                                        [&](string_view ending) { return ends_with(chunk, ending); });
        if (strong || one_of(chunk, kStrong)) worst = std::max(worst, text == "PWD" ? worst : Verdict::secret);
    }
    return worst;
}

bool is_never_secret(string_view value) {
    constexpr string_view kWords[] = {"", "true", "false", "none", "null", "yes", "no", "on", "off", "<redacted>"};
    return one_of(lowered(value), kWords) || is_reference(value);
}

bool is_secret_pair(Verdict verdict, string_view name, string_view value) {
    if (verdict == Verdict::harmless || is_never_secret(value)) return false;
    return verdict == Verdict::secret || !looks_harmless(name, value);
}

bool is_switch(string_view text) {
    constexpr string_view kSwitches[] = {"use",   "no",  "with", "enable", "disable",
                                         "allow", "has", "is",   "skip",   "require"};
    const Name name = parse_name(text);
    return !name.words.empty() && one_of(name.words.front(), kSwitches);
}

} // namespace poster
