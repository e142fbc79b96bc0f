#include "aws_credentials.hpp"

#include <strings.h>

#include <array>
#include <cstdlib>
#include <sstream>

#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <files.hpp>
#include <subprocess.hpp>
#include <text.hpp>

namespace poster {

namespace {

std::string trimmed(const std::string& text) {
    const std::size_t begin = text.find_first_not_of(" \t\r");
    return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

fs::path aws_file(const char* variable, const char* name) {
    if (const std::string path = environment(variable); !path.empty()) {
        return path.starts_with("~/") ? fs::path{environment("HOME")} / path.substr(2) : fs::path{path};
    }
    const std::string home = environment("HOME");
    return home.empty() ? fs::path{} : fs::path{home} / ".aws" / name;
}

std::string value_of(const std::map<std::string, std::string>& values, const std::string& key) {
    const auto found = values.find(key);
    return found == values.end() ? "" : found->second;
}

AwsSections read_sections(const fs::path& path) {
    return path.empty() ? AwsSections{} : parse_aws_file(read_file(path).value_or(""));
}

// [profile "my lab"] is quoted as in a shell.
std::string section_name(const std::string& text) {
    if (text.find_first_of("\"'") == std::string::npos) return text;
    const auto words = shell_split(text);
    if (!words) return text;
    std::string name;
    for (const std::string& word : *words) name += (name.empty() ? "" : " ") + word;
    return name;
}

// As AWS's tools have it: without encryption only what is of this machine is asked, as the token goes there.
void refuse_other_hosts(const std::string& url) {
    constexpr std::array kHosts{"localhost", "127.", "[::1]", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"};
    if (url.starts_with("https://")) return;
    const std::size_t begin = url.starts_with("http://") ? 7 : std::string::npos;
    const std::string host =
        begin == std::string::npos ? "" : url.substr(begin, url.find_first_of("/?#", begin) - begin);
    const std::string name =
        host.starts_with('[') ? host.substr(0, host.find(']') + 1) : host.substr(0, host.find(':'));
    const bool numbers = name.find_first_not_of("0123456789.") == std::string::npos;
    for (const std::string allowed : kHosts)
        if (name == allowed || (allowed == "127." && numbers && name.starts_with(allowed))) return;
    throw Error("AWS_CONTAINER_CREDENTIALS_FULL_URI names a host that is not this container's",
                "it begins with https://, or is of 127.0.0.1 or localhost");
}

constexpr const char* kNoCredentials =
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write them to ~/.aws/credentials; a single sign-on or an "
    "assumed "
    "role comes in by credential_process = aws configure export-credentials in ~/.aws/config; on a machine or in a "
    "container of AWS itself, set metadata = true in [s3]";

} // namespace

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

AwsSections parse_aws_file(const std::string& text) {
    AwsSections sections;
    std::map<std::string, std::string>* section = nullptr;
    std::string outer; // the key that indented lines belong to
    std::istringstream lines{text};
    for (std::string line; std::getline(lines, line);) {
        const std::string content = trimmed(line);
        if (content.empty() || content[0] == '#' || content[0] == ';') continue;
        const std::size_t bracket = content.find(']');
        if (content[0] == '[' && bracket != std::string::npos) {
            section = &sections[section_name(trimmed(content.substr(1, bracket - 1)))];
            outer.clear();
            continue;
        }
        const std::size_t equals = content.find('=');
        if (section == nullptr || equals == std::string::npos) continue;
        const std::string key = trimmed(content.substr(0, equals));
        const std::string value = trimmed(content.substr(equals + 1));
        if (line[0] == ' ' || line[0] == '\t') {
            if (!outer.empty()) (*section)[outer + "." + key] = value;
        } else {
            outer = value.empty() ? key : "";
            (*section)[key] = value;
        }
    }
    return sections;
}

std::string AwsProfile::value(const std::string& key) const {
    const std::string secret = value_of(secrets, key);
    return secret.empty() ? value_of(config, key) : secret;
}

AwsProfile read_aws_profile() {
    AwsProfile profile;
    profile.name = environment("AWS_PROFILE");
    if (profile.name.empty()) profile.name = environment("AWS_DEFAULT_PROFILE");
    const bool named = !profile.name.empty();
    if (!named) profile.name = "default";
    AwsSections config = read_sections(aws_file("AWS_CONFIG_FILE", "config"));
    AwsSections secrets = read_sections(aws_file("AWS_SHARED_CREDENTIALS_FILE", "credentials"));
    const auto of_config = config.find(
        profile.name == "default" && !config.contains("profile default") ? "default" : "profile " + profile.name);
    const auto of_secrets = secrets.find(profile.name);
    if (named && of_config == config.end() && of_secrets == secrets.end()) {
        throw Error("the AWS profile '" + profile.name + "' is neither in ~/.aws/config nor in ~/.aws/credentials",
                    "AWS_PROFILE names it: see whether it is spelled right");
    }
    if (of_config != config.end()) profile.config = of_config->second;
    if (of_secrets != secrets.end()) profile.secrets = of_secrets->second;
    if (const auto services = config.find("services " + profile.value("services")); services != config.end())
        profile.endpoint = services->second["s3.endpoint_url"];
    if (profile.endpoint.empty()) profile.endpoint = profile.value("s3.endpoint_url");
    if (profile.endpoint.empty()) profile.endpoint = profile.value("endpoint_url");
    return profile;
}

std::string aws_region() {
    for (const char* name : {"AWS_REGION", "AWS_DEFAULT_REGION"}) {
        if (const std::string value = environment(name); !value.empty()) return value;
    }
    return read_aws_profile().value("region");
}

std::string aws_endpoint() {
    if (environment("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") == "true") return {};
    for (const char* name : {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"}) {
        if (const std::string value = environment(name); !value.empty()) return value;
    }
    return read_aws_profile().endpoint;
}

AwsCredentialChain::AwsCredentialChain(bool metadata, TransferOptions options)
    : metadata_(metadata), options_(std::move(options)) {
    options_.connect_timeout = Milliseconds{2'000};
    options_.stall_timeout = Milliseconds{5'000};
    options_.proxies = false; // they are of this machine
}

// Well before they expire; but a service that gives no longer ones is not asked at each request.
bool AwsCredentialChain::is_to_be_renewed(const Found& found) const {
    constexpr Milliseconds kBefore{300'000}, kSeldom{30'000};
    const WallTime now = wall_now();
    return found.is_over(now) || (found.is_over(now + kBefore) && looked_ + kSeldom < now);
}

AwsCredentials AwsCredentialChain::credentials() {
    const std::lock_guard lock{mutex_};
    if (found_ && !is_to_be_renewed(*found_)) return found_->credentials;
    const std::optional<Found> before = found_;
    looked_ = wall_now();
    try {
        found_ = find();
        return found_->credentials;
    } catch (const Error&) {
        if (!before || before->is_over(wall_now())) throw;
        return before->credentials;
    }
}

bool AwsCredentialChain::renew(const AwsCredentials& stale) {
    const std::lock_guard lock{mutex_};
    if (found_ && found_->credentials != stale) return true; // another request has done it
    found_ = find();
    return found_->credentials != stale;
}

AwsCredentialChain::Found AwsCredentialChain::find() const {
    // As AWS's tools do it: the keys of the environment come before those of a profile, also of one that is named.
    if (auto found = from_environment()) return *found;
    if (auto found = from_profile()) return *found;
    if (metadata_) {
        if (auto found = from_container()) return *found;
        if (auto found = from_machine()) return *found;
    }
    throw Error("there are no credentials for S3", kNoCredentials);
}

std::optional<AwsCredentialChain::Found> AwsCredentialChain::from_environment() {
    const std::string key = environment("AWS_ACCESS_KEY_ID");
    if (key.empty()) return {};
    const std::string secret = environment("AWS_SECRET_ACCESS_KEY");
    if (secret.empty()) throw Error("AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not", kNoCredentials);
    return Found{{key, secret, environment("AWS_SESSION_TOKEN")}, {}};
}

// ~/.aws/credentials, then a program, then ~/.aws/config; never a key of one with the secret of the other.
std::optional<AwsCredentialChain::Found> AwsCredentialChain::from_profile() const {
    const AwsProfile profile = read_aws_profile();
    const auto keys_of = [&profile](const std::map<std::string, std::string>& values) -> std::optional<Found> {
        const std::string key = value_of(values, "aws_access_key_id");
        if (key.empty()) return {};
        const std::string secret = value_of(values, "aws_secret_access_key");
        if (secret.empty())
            throw Error("the AWS profile '" + profile.name + "' has an aws_access_key_id without its secret",
                        kNoCredentials);
        return Found{{key, secret, value_of(values, "aws_session_token")}, {}};
    };
    const std::string exported = "set credential_process = aws configure export-credentials --profile " +
                                 shell_quote(profile.name) + " in a profile of its own, and AWS_PROFILE to that";
    if (!profile.value("role_arn").empty()) // another identity than that of keys which may be there
        throw Error("the AWS profile '" + profile.name + "' assumes a role, which is left to AWS's own tools",
                    exported);
    if (auto found = keys_of(profile.secrets)) return found;
    if (const std::string command = profile.value("credential_process"); !command.empty()) return from_program(command);
    if (auto found = keys_of(profile.config)) return found;
    if (!profile.value("sso_session").empty() || !profile.value("sso_start_url").empty())
        throw Error("the AWS profile '" + profile.name + "' is of a single sign-on, which is left to AWS's own tools",
                    exported);
    return {};
}

AwsCredentialChain::Found AwsCredentialChain::parse(const std::string& text, const std::string& source) {
    const auto json = nlohmann::json::parse(text, nullptr, false);
    auto word = [&json](const char* key) {
        const auto found = json.is_object() ? json.find(key) : json.end();
        return found != json.end() && found->is_string() ? found->get<std::string>() : std::string{};
    };
    Found found;
    if (json.is_object() && json.value("Version", nlohmann::json(1)) != 1)
        throw Error(source + " gave credentials of a version that is not known", "it is to be 1");
    const std::string token = word("SessionToken");
    found.credentials = {word("AccessKeyId"), word("SecretAccessKey"), token.empty() ? word("Token") : token};
    if (found.credentials.access_key.empty() || found.credentials.secret_key.empty())
        throw Error(source + " gave no credentials", kNoCredentials);
    if (const std::string expires = word("Expiration"); !expires.empty()) found.expires = parse_iso8601(expires);
    return found;
}

std::optional<AwsCredentialChain::Found> AwsCredentialChain::from_program(const std::string& command) const {
    const auto words = shell_split(command);
    if (!words || words->empty()) throw Error("credential_process of the AWS profile is no command", kNoCredentials);
    const CommandResult result = run_command(*words, fs::current_path());
    if (result.exit_code != 0)
        throw Error("the credential_process of the AWS profile, " + words->front() + ", failed", "run it by hand");
    return parse(result.output, "the credential_process " + words->front());
}

std::string AwsCredentialChain::get(const std::string& url, const Pairs& headers, const std::string& method) const {
    HttpClient client{options_};
    HttpRequest request;
    request.method = method;
    request.url = url;
    request.headers = headers;
    const HttpResponse response = client.perform(request);
    if (response.status == 404) return {};
    if (response.status != 200)
        throw TransferError("the credentials' service answered " + std::to_string(response.status), {}, true);
    return response.body;
}

std::optional<AwsCredentialChain::Found> AwsCredentialChain::from_container() const {
    std::string url = environment("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    if (const std::string path = environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"); !path.empty())
        url = "http://169.254.170.2" + path;
    if (url.empty()) return {};
    refuse_other_hosts(url);
    std::string token = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    if (const std::string file = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); !file.empty())
        token = trimmed(read_file(file).value_or(""));
    Pairs headers;
    if (!token.empty()) headers.emplace_back("Authorization", token);
    return parse(get(url, headers), "the container's service");
}

std::optional<AwsCredentialChain::Found> AwsCredentialChain::from_machine() const {
    if (::strcasecmp(environment("AWS_EC2_METADATA_DISABLED").c_str(), "true") == 0) return {};
    std::string base = environment("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    if (base.empty()) base = "http://169.254.169.254";
    while (base.ends_with('/')) base.pop_back();
    const std::string token =
        get(base + "/latest/api/token", {{"X-aws-ec2-metadata-token-ttl-seconds", "21600"}}, "PUT");
    const Pairs headers{{"X-aws-ec2-metadata-token", token}};
    const std::string roles = base + "/latest/meta-data/iam/security-credentials/";
    const std::string role = trimmed(get(roles, headers));
    if (role.empty()) throw Error("the machine's service knows no role of this machine", "attach one to the instance");
    return parse(get(roles + uri_encode(role.substr(0, role.find('\n')), Slashes::encoded), headers),
                 "the machine's service");
}

} // namespace poster
