// Copies of run directories in a bucket of S3, or of what speaks like it: MinIO, Ceph, R2.

#include <algorithm>

#include <path_setting.hpp>
#include <poster/callback.hpp>
#include <s3_remote.hpp>

namespace poster {

namespace {

constexpr std::uint64_t kMegabyte = 1 << 20;

Addressing addressing_of(const Settings& settings) {
    const std::string word = settings.text("s3.addressing");
    if (word == "auto") return Addressing::automatic;
    if (word == "path") return Addressing::path;
    if (word == "virtual") return Addressing::virtual_host;
    throw UsageError("s3.addressing is '" + word + "'", "it is auto, path or virtual");
}

std::string without_slashes(std::string text) {
    while (text.starts_with('/')) text.erase(0, 1);
    while (text.ends_with('/')) text.pop_back();
    return text;
}

class S3 : public Callback {
public:
    explicit S3(const Settings& settings)
        : prefix_(without_slashes(settings.text("s3.prefix"))),
          part_bytes_(std::uint64_t(std::clamp(settings.integer("s3.part_size"), 5L, 5'000L)) * kMegabyte) {
        place_.bucket = settings.text("s3.bucket");
        place_.region = settings.text("s3.region");
        place_.endpoint = settings.text("s3.endpoint");
        place_.storage_class = settings.text("s3.storage_class");
        place_.addressing = addressing_of(settings);
        place_.read_back = settings.flag("s3.read_back");
        place_.metadata = settings.flag("s3.metadata");
        place_.transfer.ca_file = path_setting(settings, "s3.ca_file");
        place_.transfer.ca_variable = "AWS_CA_BUNDLE";
        place_.transfer.stall_timeout = settings.duration("s3.timeout");
    }

    std::unique_ptr<Remote> remote() override {
        S3Place place = place_;
        try {
            if (place.region.empty()) place.region = aws_region();
            if (place.endpoint.empty()) place.endpoint = aws_endpoint();
        } catch (const Error&) { // no such profile: told when the credentials are asked for
        }
        return std::make_unique<S3Remote>(std::move(place), prefix_, part_bytes_);
    }

private:
    S3Place place_;
    std::string prefix_;
    std::uint64_t part_bytes_;
};

Activation activate(const Settings& settings) {
    if (settings.text("s3.bucket").empty()) return {false, "s3.bucket is not set"};
    addressing_of(settings);
    return {true, "s3.bucket"};
}

} // namespace

extern const CallbackEntry s3_callback;
const CallbackEntry s3_callback = callback_entry<S3>(
    "s3", "copies of runs in a bucket of S3, MinIO, Ceph, R2 …",
    {{"s3.bucket", OptionType::text, "", "the bucket; it has to exist"},
     {"s3.prefix", OptionType::text, "", "before the key of each object, as a folder"},
     {"s3.region", OptionType::text, "", "the bucket's; by default that of the AWS environment or profile"},
     {"s3.endpoint", OptionType::text, "", "https://host of a server that is not Amazon's"},
     {"s3.storage_class", OptionType::text, "", "STANDARD_IA, GLACIER_IR …; by default the bucket's"},
     {"s3.part_size", OptionType::integer, "16", "MiB; larger files are sent in parts of that size, at least 5"},
     {"s3.addressing", OptionType::text, "auto", "the bucket in the path or in the host name: auto, path, virtual"},
     {"s3.ca_file", OptionType::text, "", "certificates to trust (PEM), where the system's do not do"},
     {"s3.timeout", OptionType::duration, "30s", "without a byte: the connection is given up"},
     {"s3.read_back", OptionType::flag, "false", "gc reads copies again, not only what S3 says of them"},
     {"s3.metadata", OptionType::flag, "false", "credentials of the machine or container in AWS"}},
    activate);

} // namespace poster
