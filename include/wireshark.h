/* What of Wireshark's headers the layout table of src/wireshark/layout.rs is checked against; see build.rs. */
#include <ws_version.h>
#include <wireshark.h>
#include <cfile.h>
#include <epan/epan.h>
#include <epan/epan_dissect.h>
#include <epan/export_object.h>
#include <epan/frame_data.h>
#include <epan/funnel.h>
#include <epan/packet.h>
#include <epan/params.h>
#include <epan/proto.h>
#include <epan/stat_tap_ui.h>
#include <epan/tap.h>
#include <wiretap/wtap.h>
#include <wsutil/buffer.h>
