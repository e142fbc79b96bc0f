#include <poster/run.hpp>

namespace poster {

namespace {

constexpr std::pair<Status, std::string_view> kStatuses[] = {
    {Status::queued, "queued"},       {Status::running, "running"}, {Status::finished, "finished"},
    {Status::failed, "failed"},       {Status::killed, "killed"},   {Status::timeout, "timeout"},
    {Status::preempted, "preempted"}, {Status::lost, "lost"}};

} // namespace

std::string_view to_string(Status status) {
    for (const auto& [value, word] : kStatuses) {
        if (value == status) return word;
    }
    return "lost";
}

std::optional<Status> status_from(std::string_view word) {
    for (const auto& [value, known] : kStatuses) {
        if (known == word) return value;
    }
    return {};
}

} // namespace poster
