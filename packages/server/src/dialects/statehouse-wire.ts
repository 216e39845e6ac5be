import { clone, createFileRegistry, type DescService } from "@bufbuild/protobuf";
import {
  type FieldDescriptorProto,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";
import { DaybookError } from "@daybook/protocol";
import {
  file_statehouse_v1_statehouse,
  StatehouseService,
} from "../generated/statehouse/v1/statehouse_pb.js";
import { invalidState } from "../service/state-names.js";
import { asConnectError } from "./rpc-errors.js";
import { checkObject, decodeStruct, encodeStruct } from "./struct-value.js";

/** `__proto__`, also where some of it is escaped. */
const MAYBE_PROTO = /__proto__|\\u00(?:5f|6f|7[024])/i;
const utf8 = new TextDecoder();

/** A value as the messages of one form of the service have it. */
export interface ValueForm {
  readonly service: DescService;
  /** The JSON text of a value that came in. @throws DaybookError invalid_state */
  read(value: unknown): string;
  write(text: string): unknown;
}

/** In JSON a Struct is a plain object; the library has parsed it already. */
export const JSON_FORM: ValueForm = {
  service: StatehouseService,
  read: (value) => JSON.stringify(checkObject(value)),
  write: (text) => {
    refuseProto(text);
    return JSON.parse(text) as unknown;
  },
};

/** How the library reads messages in JSON. */
export const JSON_OPTIONS = {
  ignoreUnknownFields: true,
  textDecoder: {
    decode: (bytes?: Uint8Array): string => {
      const text = utf8.decode(bytes);
      try {
        refuseProto(text);
      } catch (error) {
        throw asConnectError(error);
      }
      return text;
    },
  },
};

/** On its way through the library's objects a member of this name is lost without a word. @throws DaybookError */
function refuseProto(text: string): void {
  if (!MAYBE_PROTO.test(text)) return;
  try {
    JSON.parse(text, (name, value: unknown) => {
      if (name === "__proto__")
        throw invalidState(
          "value has a member __proto__, which JSON cannot carry here; use gRPC or /v1/state",
        );
      return value;
    });
  } catch (error) {
    // What is no JSON, or nests too deep, the library refuses.
    if (error instanceof DaybookError) throw error;
  }
}

/** In binary a message is bytes with a length, so a Struct can be taken as bytes and read by our own rules. */
export const BINARY_FORM: ValueForm = {
  service: withStructsAsBytes(),
  read: (value) => decodeStruct(value as Uint8Array),
  write: encodeStruct,
};

function withStructsAsBytes(): DescService {
  const file = clone(FileDescriptorProtoSchema, file_statehouse_v1_statehouse.proto);
  file.dependency = [];
  for (const { field } of file.messageType) for (const one of field) asBytes(one);
  const service = createFileRegistry(file, () => undefined).getService(StatehouseService.typeName);
  if (service === undefined) throw new Error("broken invariant: the file has no service");
  return service;
}

function asBytes(field: FieldDescriptorProto): void {
  if (field.typeName !== ".google.protobuf.Struct") return;
  field.type = FieldDescriptorProto_Type.BYTES;
  field.typeName = "";
}
