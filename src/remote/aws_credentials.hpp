#pragma once
// Where AWS's own tools look for credentials, region and endpoint: the environment, the profiles of ~/.aws, a program,
// and, only if asked to, what the machine or the container is given.

#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "http.hpp"
#include "s3_signer.hpp"

namespace poster {

// The sections of an ini file of AWS; of an indented line below a key "s3" the key is "s3.KEY".
using AwsSections = std::map<std::string, std::map<std::string, std::string>>;
AwsSections parse_aws_file(const std::string& text);

// The profile that AWS_PROFILE names, else "default".
struct AwsProfile {
    std::string name;
    std::map<std::string, std::string> config, secrets; // of ~/.aws/config and ~/.aws/credentials
    std::string endpoint;                               // of S3
    std::string value(const std::string& key) const;    // of either; empty: it is not set
};
AwsProfile read_aws_profile();             // throws Error where AWS_PROFILE names one that is nowhere
std::string aws_region();                  // of the environment or the profile; empty: none is set
std::string aws_endpoint();                // likewise, of S3
std::string environment(const char* name); // empty: not set

class AwsCredentialChain {
public:
    // metadata: ask the container's or the machine's service as the last.
    AwsCredentialChain(bool metadata, TransferOptions options);
    // Asked for again before they expire. Throws Error where there are none. Safe from any thread.
    AwsCredentials credentials();
    // Looks again, as those are over. false: there are no others. Throws as credentials().
    bool renew(const AwsCredentials& stale);

private:
    struct Found {
        AwsCredentials credentials;
        std::optional<WallTime> expires;
        bool is_over(WallTime when) const { return expires && *expires <= when; }
    };
    Found find() const;
    static std::optional<Found> from_environment();
    std::optional<Found> from_profile() const;
    bool is_to_be_renewed(const Found& found) const;
    std::optional<Found> from_program(const std::string& command) const;
    std::optional<Found> from_container() const;
    std::optional<Found> from_machine() const;
    std::string get(const std::string& url, const Pairs& headers, const std::string& method = "GET") const;
    static Found parse(const std::string& text, const std::string& source);

    bool metadata_;
    TransferOptions options_;
    std::mutex mutex_;
    std::optional<Found> found_;
    WallTime looked_{}; // when
};

} // namespace poster
