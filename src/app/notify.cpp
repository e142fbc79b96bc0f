// `poster notify test`: a message through each messenger that is configured, now, without a run.

#include "commands.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <error.hpp>
#include <notifier.hpp>
#include <registry.hpp>
#include <run_id.hpp>
#include <secret_setting.hpp>

#include "table.hpp"
#include "workspace.hpp"

namespace poster {

namespace {

using nlohmann::ordered_json;
using namespace std::chrono_literals;

constexpr auto kPatience = 60s; // for one messenger

std::vector<const CallbackEntry*> messengers() {
    std::vector<const CallbackEntry*> all;
    for (const auto* entry : registry())
        if (entry->hooks.deliver) all.push_back(entry);
    return all;
}

// Those that are on, or the one that is asked for.
std::vector<const CallbackEntry*> chosen(const std::string& name, const Settings& settings) {
    std::vector<const CallbackEntry*> all;
    std::string reasons, names;
    for (const auto* entry : messengers()) {
        names += (names.empty() ? "" : ", ") + entry->name;
        if (!name.empty() && entry->name != name) continue;
        const Activation activation = activation_of(*entry, settings);
        if (activation.on) all.push_back(entry);
        reasons += fmt::format("{}{} is off: {}", reasons.empty() ? "" : "; ", entry->name, activation.reason);
    }
    if (reasons.empty()) throw UsageError(fmt::format("'{}' sends no messages", printable(name)), "one of " + names);
    if (all.empty()) throw Error("there is nobody to send a message", reasons);
    return all;
}

Delivery send_test(const CallbackEntry& entry, const Settings& settings) {
    OutboxEntry message;
    message.key = fmt::format("test/{}/{}", new_run_id(wall_now()), entry.name);
    message.callback = entry.name;
    message.kind = "test";
    message.payload = test_facts().dump();
    message.queued_at = wall_now();
    try {
        return entry.create(settings)->deliver(Run{}, message, std::chrono::steady_clock::now() + kPatience);
    } catch (const Error& error) {
        return Delivery::permanent(error.what(), error.help());
    } catch (const std::exception& error) {
        return Delivery::permanent(error.what(), "");
    }
}

ordered_json to_json(const std::string& name, const Delivery& delivery) {
    return {{"callback", name},
            {"delivered", delivery.state == Delivery::State::delivered},
            {"receipt", delivery.receipt},
            {"error", delivery.error},
            {"help", delivery.help}};
}

} // namespace

int notify(const NotifyArguments& arguments) {
    const Workspace workspace = open_workspace(std::nullopt);
    for (const auto& warning : plain_secrets(workspace.settings)) say("warning: " + warning);
    int failed = 0;
    ordered_json all = ordered_json::array();
    for (const auto* entry : chosen(arguments.callback, workspace.settings)) {
        const Delivery delivery = send_test(*entry, workspace.settings);
        const bool arrived = delivery.state == Delivery::State::delivered;
        if (!arrived) failed = 1;
        all.push_back(to_json(entry->name, delivery));
        if (arguments.json) continue;
        if (arrived)
            print_out(fmt::format("{}: delivered ({})\n", entry->name, printable(delivery.receipt)));
        else
            complain(Error(fmt::format("{}: {}", entry->name, printable(delivery.error)), delivery.help));
    }
    if (arguments.json) print_out(all.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n");
    return failed;
}

} // namespace poster
