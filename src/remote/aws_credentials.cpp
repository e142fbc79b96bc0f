#include "aws_credentials.hpp"

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

AwsSections read_sections(const fs::path& path) {
    return path.empty() ? AwsSections{} : parse_aws_file(read_file(path).value_or(""));
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
            section = &sections[trimmed(content.substr(1, bracket - 1))];
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
    const auto found = values.find(key);
    return found == values.end() ? "" : found->second;
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
    if (of_config != config.end()) profile.values = of_config->second;
    if (of_secrets != secrets.end()) {
        for (const auto& [key, value] : of_secrets->second) profile.values[key] = value;
    }
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
}

AwsCredentials AwsCredentialChain::credentials() {
    const std::lock_guard lock{mutex_};
    constexpr Milliseconds kBefore{300'000};
    if (!found_ || (found_->expires && *found_->expires - kBefore < wall_now())) found_ = find();
    return found_->credentials;
}

AwsCredentialChain::Found AwsCredentialChain::find() const {
    // As AWS's tools do it: a profile that is named on purpose comes before the keys of the environment only where
    // these are not set.
    if (const std::string key = environment("AWS_ACCESS_KEY_ID"); !key.empty()) {
        const std::string secret = environment("AWS_SECRET_ACCESS_KEY");
        if (secret.empty()) throw Error("AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not", kNoCredentials);
        return {{key, secret, environment("AWS_SESSION_TOKEN")}, {}};
    }
    const AwsProfile profile = read_aws_profile();
    if (const std::string key = profile.value("aws_access_key_id"); !key.empty())
        return {{key, profile.value("aws_secret_access_key"), profile.value("aws_session_token")}, {}};
    if (const std::string command = profile.value("credential_process"); !command.empty()) {
        if (auto found = from_program(command)) return *found;
    }
    if (metadata_) {
        if (auto found = from_container()) return *found;
        if (auto found = from_machine()) return *found;
    }
    throw Error("there are no credentials for S3", kNoCredentials);
}

AwsCredentialChain::Found AwsCredentialChain::parse(const std::string& text, const std::string& source) {
    const auto json = nlohmann::json::parse(text, nullptr, false);
    auto word = [&json](const char* key) {
        const auto found = json.is_object() ? json.find(key) : json.end();
        return found != json.end() && found->is_string() ? found->get<std::string>() : std::string{};
    };
    Found found;
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
    if (response.status != 200)
        throw TransferError("the credentials' service answered " + std::to_string(response.status), {}, true);
    return response.body;
}

std::optional<AwsCredentialChain::Found> AwsCredentialChain::from_container() const {
    std::string url = environment("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    if (const std::string path = environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"); !path.empty())
        url = "http://169.254.170.2" + path;
    if (url.empty()) return {};
    std::string token = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    if (const std::string file = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); !file.empty())
        token = trimmed(read_file(file).value_or(""));
    Pairs headers;
    if (!token.empty()) headers.emplace_back("Authorization", token);
    return parse(get(url, headers), "the container's service");
}

std::optional<AwsCredentialChain::Found> AwsCredentialChain::from_machine() const {
    if (environment("AWS_EC2_METADATA_DISABLED") == "true") return {};
    std::string base = environment("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    if (base.empty()) base = "http://169.254.169.254";
    while (base.ends_with('/')) base.pop_back();
    const std::string token =
        get(base + "/latest/api/token", {{"X-aws-ec2-metadata-token-ttl-seconds", "21600"}}, "PUT");
    const Pairs headers{{"X-aws-ec2-metadata-token", token}};
    const std::string roles = base + "/latest/meta-data/iam/security-credentials/";
    const std::string role = trimmed(get(roles, headers));
    return parse(get(roles + uri_encode(role.substr(0, role.find('\n')), Slashes::encoded), headers),
                 "the machine's service");
}

} // namespace poster
