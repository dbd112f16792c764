// A planner in C++: publishes a plan file, then scales it with the demand it serves.
//
//     c++ -std=c++17 planner.cpp -o planner -I$HELICS/include -L$HELICS/lib64 -lhelics
//     GRIDPROOF_KEY=key ./planner PLAN.json HOST:PORT
//
// The same as planner_plain_helics.py, by the same C interface of HELICS and the JSON of
// nlohmann. Little-endian machines: frames are copied as they are.

#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <helics/helics.h>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

using nlohmann::json;

#pragma pack(push, 1)
struct Header {  // docs/wire.md, Frames
    char magic[4];
    std::uint16_t version, kind;
    std::uint64_t sequence, first;
    std::uint32_t count, round;
    double sent_s;
    std::uint32_t width, step;
};
#pragma pack(pop)
static_assert(sizeof(Header) == 48, "a header has 48 bytes");

static HelicsError err = helicsErrorInitialize();

static void check(const char* what) {
    if (err.error_code != HELICS_OK) {
        throw std::runtime_error(std::string(what) + ": " + err.message);
    }
}

static std::string text_of(HelicsInput input) {
    std::vector<char> held(helicsInputGetStringSize(input) + 1);
    int size = 0;
    helicsInputGetString(input, held.data(), static_cast<int>(held.size()), &size, &err);
    check("reading text");
    return std::string(held.data());
}

static std::vector<char> bytes_of(HelicsInput input) {
    std::vector<char> held(helicsInputGetByteCount(input));
    int size = 0;
    helicsInputGetBytes(input, held.data(), static_cast<int>(held.size()), &size, &err);
    check("reading a frame");
    return held;
}

static void say(HelicsPublication status, const char* phase, int sequence, std::uint64_t done = 0) {
    const json told = {
        {"federate", "planner"}, {"phase", phase}, {"sequence", sequence}, {"done", done}};
    helicsPublicationPublishString(status, told.dump().c_str(), &err);
    check("status");
}

static HelicsFederate join(const std::string& host, const std::string& port, const char* key) {
    HelicsFederateInfo info = helicsCreateFederateInfo();
    helicsFederateInfoSetCoreTypeFromString(info, "zmq", &err);
    helicsFederateInfoSetCoreName(info, ("planner-" + std::to_string(getpid())).c_str(), &err);
    const std::string core = "--federates=1 --brokerkey=" + std::string(key) +
                             " --broker_address=tcp://" + host + " --brokerport=" + port;
    helicsFederateInfoSetCoreInitString(info, core.c_str(), &err);
    helicsFederateInfoSetTimeProperty(info, HELICS_PROPERTY_TIME_PERIOD, 1.0, &err);
    helicsFederateInfoSetFlagOption(info, HELICS_FLAG_TERMINATE_ON_ERROR, HELICS_TRUE, &err);
    HelicsFederate fed = helicsCreateValueFederate("planner", info, &err);
    check("joining");
    return fed;
}

static void run(HelicsFederate fed, const json& plan) {
    std::map<std::string, HelicsPublication> out;
    for (const char* port : {"plan", "switch_states", "setpoints", "status"}) {  // all four
        const bool raw = std::string(port) == "setpoints";
        const auto kind = raw ? HELICS_DATA_TYPE_RAW : HELICS_DATA_TYPE_STRING;
        out[port] = helicsFederateRegisterPublication(fed, port, kind, "", &err);
    }
    std::map<std::string, HelicsInput> into;
    for (const char* key : {"catalogue", "realizations", "status"}) {
        const std::string whole = std::string("feeder/") + key;
        into[key] = helicsFederateRegisterSubscription(fed, whole.c_str(), "", &err);
    }
    helicsFederateEnterExecutingMode(fed, &err);
    check("entering execution");
    say(out["status"], "planning", 1);
    double now = helicsFederateRequestTime(fed, 1.0, &err);
    const json catalogue = json::parse(text_of(into["catalogue"]));
    const json& asked = catalogue["realizations"];  // zeta, p of loads, …
    const json& given = catalogue["setpoints"];     // found, p, q, source_v
    std::vector<double> p_kw, q_kvar, held;
    double made_kw = 0.0;
    for (const std::string id : given[1]["ids"]) {  // der.a, der.b, der.c
        const json& der = plan["ders"][id.substr(0, id.size() - 2)];
        const int phase = id.back() - 'a';
        p_kw.push_back(der["p_kw"][0][phase]);
        q_kvar.push_back(der["q_kvar"][0][phase]);
        made_kw += p_kw.back();
    }
    for (const std::string id : given[3]["ids"]) {
        const json& volts = plan["ders"][id]["source_v_pu"][0];
        held.push_back(volts.is_null() ? 0.0 : volts.get<double>());
    }
    std::vector<bool> served;  // a dead block asks, and is given nothing
    for (const std::string id : asked[1]["ids"]) {
        const std::string block = catalogue["blocks_of_loads"][id.substr(0, id.rfind('.'))];
        served.push_back(plan["energized_blocks"][block][0]);
    }
    helicsPublicationPublishString(out["plan"], plan.dump().c_str(), &err);
    say(out["status"], "planned", 2);
    const std::size_t drawn = asked[0]["ids"].size();
    std::uint64_t answered = 0;
    while (true) {
        now = helicsFederateRequestTime(fed, now + 1.0, &err);
        check("waiting for the feeder");
        if (json::parse(text_of(into["status"]))["phase"] == "done") break;
        const std::vector<char> frame = bytes_of(into["realizations"]);
        Header head;
        std::memcpy(&head, frame.data(), sizeof head);
        std::vector<double> rows(std::size_t(head.count) * head.width);
        std::memcpy(rows.data(), frame.data() + sizeof head, rows.size() * sizeof(double));
        std::vector<double> body;
        for (std::uint32_t r = 0; r < head.count; ++r) {
            const double* row = rows.data() + std::size_t(r) * head.width + drawn;
            double demand_kw = 0.0;
            for (std::size_t k = 0; k < served.size(); ++k) demand_kw += served[k] ? row[k] : 0.0;
            const double share = demand_kw / made_kw;  // generation follows the demand
            body.push_back(1.0);                       // found
            for (double kw : p_kw) body.push_back(share * kw);
            for (double kvar : q_kvar) body.push_back(share * kvar);
            body.insert(body.end(), held.begin(), held.end());
        }
        const std::chrono::duration<double> since = std::chrono::system_clock::now().time_since_epoch();
        head.kind = 2;
        head.sent_s = since.count();
        head.width = static_cast<std::uint32_t>(body.size() / head.count);
        std::vector<char> answer(sizeof head + body.size() * sizeof(double));
        std::memcpy(answer.data(), &head, sizeof head);
        std::memcpy(answer.data() + sizeof head, body.data(), body.size() * sizeof(double));
        helicsPublicationPublishBytes(
            out["setpoints"], answer.data(), static_cast<int>(answer.size()), &err);
        check("set-points");
        answered += head.count;
    }
    say(out["status"], "done", 3, answered);
    helicsFederateDisconnect(fed, &err);
}

int main(int count, char** words) {
    const char* key = std::getenv("GRIDPROOF_KEY");
    if (count != 3 || key == nullptr) {
        std::cerr << "GRIDPROOF_KEY=key planner PLAN.json HOST:PORT\n";
        return 2;
    }
    const std::string at = words[2];
    const auto colon = at.rfind(':');
    HelicsFederate fed = nullptr;
    int code = 0;
    try {
        const json plan = json::parse(std::ifstream(words[1]));
        fed = join(at.substr(0, colon), at.substr(colon + 1), key);
        run(fed, plan);
    } catch (const std::exception& fault) {
        const std::string said = std::string("planner failed: ") + fault.what();
        std::cerr << said << '\n';
        HelicsError last = helicsErrorInitialize();
        // without this it would look like a leave
        if (fed != nullptr) helicsFederateGlobalError(fed, 4, said.c_str(), &last);
        code = 1;
    }
    helicsCloseLibrary();
    return code;
}
